package handlers

import (
	"bytes"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

const (
	// recordTime is how long a profile is recorded if the request does not say, and maxRecordTime at most.
	recordTime    = 10 * time.Second
	maxRecordTime = time.Minute
	// Of what blocks, one event in a millisecond of blocking is taken, and of what contends for a lock one in ten.
	blockRate     = int(time.Millisecond)
	mutexFraction = 10
)

// profile answers GET /debug/pprof/{profile}.
//
//	@Summary		Profile the process
//	@ID				getProfile
//	@Description	Go's profiles, for `go tool pprof` and `go tool trace`: allocs, goroutine, heap and threadcreate as they are; profile (CPU), trace, block and mutex of the seconds that follow; block and mutex have those of earlier recordings, too (`go tool pprof -base`). Of the latter one is recorded at a time. `go tool pprof` sends no headers: give it the token as access_token.
//	@Tags			operations
//	@Produce		octet-stream,plain
//	@Param			profile	path		string			true	"which"	Enums(allocs, block, goroutine, heap, mutex, profile, threadcreate, trace)
//	@Param			seconds	query		int				false	"how long to record"								minimum(1)	maximum(60)	default(10)
//	@Param			debug	query		int				false	"1 or 2: as text, for those that are not recorded"	minimum(0)	maximum(2)	default(0)
//	@Success		200		{file}		file			"the profile"
//	@Failure		400		{object}	models.Problem	"invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		404		{object}	models.Problem	"not_found: no such profile"
//	@Failure		409		{object}	models.Problem	"conflict: another is being recorded"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Failure		503		{object}	models.Problem	"shutting_down"
//	@Security		Bearer
//	@x-responses	{"200":{"content":{"application/octet-stream":{"example":"what go tool pprof reads"},"text/plain":{"example":"goroutine profile: total 17\n"}}}}
//	@Router			/debug/pprof/{profile} [get]
func (a *api) profile(c *fiber.Ctx) error {
	duration, err := recordParam(c)
	if err != nil {
		return err
	}
	debug, err := strconv.Atoi(c.Query("debug", "0"))
	if err != nil || debug < 0 || debug > 2 {
		return models.Errorf(models.CodeInvalidRequest, "debug is 0, 1 or 2")
	}
	name := utils.CopyString(c.Params("profile"))
	var out bytes.Buffer
	switch name {
	case "profile", "trace", "block", "mutex":
		a.auditRequest(c, "profile", "profile", name, "duration", duration)
		debug = 0
		err = a.record(c, name, duration, &out)
	case "allocs", "goroutine", "heap", "threadcreate":
		a.auditRequest(c, "profile", "profile", name)
		err = pprof.Lookup(name).WriteTo(&out, debug)
	default:
		err = models.Errorf(models.CodeNotFound, "there is no such profile")
	}
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEOctetStream)
	if debug > 0 {
		c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	}
	return c.Send(out.Bytes())
}

// recordParam gives how long to record.
func recordParam(c *fiber.Ctx) (time.Duration, error) {
	text := c.Query("seconds")
	if text == "" {
		return recordTime, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 16)
	if duration := time.Duration(seconds) * time.Second; err == nil && duration > 0 && duration <= maxRecordTime {
		return duration, nil
	}
	return 0, models.Errorf(models.CodeInvalidRequest, "seconds is a number from 1 to %.0f", maxRecordTime.Seconds())
}

// record records a profile of what happens from now on. What it costs, others pay: there is one at a time. The shutdown does
// not wait for it.
func (a *api) record(c *fiber.Ctx, name string, duration time.Duration, out *bytes.Buffer) error {
	if !a.recording.TryLock() {
		return models.Errorf(models.CodeConflict, "another profile is being recorded")
	}
	defer a.recording.Unlock()
	stop, err := startRecording(name, out)
	if err != nil {
		return err
	}
	select {
	case <-time.After(duration):
		return stop()
	case <-c.Context().Done():
		_ = stop()
		return models.ErrShuttingDown()
	}
}

// startRecording begins to record, until stop has it written.
func startRecording(name string, out *bytes.Buffer) (stop func() error, err error) {
	write := func() error { return pprof.Lookup(name).WriteTo(out, 0) }
	switch name {
	case "profile":
		stop = func() error { pprof.StopCPUProfile(); return nil }
		return stop, pprof.StartCPUProfile(out)
	case "trace":
		stop = func() error { trace.Stop(); return nil }
		return stop, trace.Start(out)
	case "block":
		runtime.SetBlockProfileRate(blockRate)
		return func() error { runtime.SetBlockProfileRate(0); return write() }, nil
	default:
		before := runtime.SetMutexProfileFraction(mutexFraction)
		return func() error { runtime.SetMutexProfileFraction(before); return write() }, nil
	}
}
