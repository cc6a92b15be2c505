package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"fanfare/app/remote"
	"fanfare/models"
)

// maxLine bounds a line of standard input, in bytes. The server's limit is lower, or should be.
const maxLine = 64 << 20

// pubOptions is how messages are published.
type pubOptions struct {
	remote  remoteFlags
	key     string
	asText  bool
	quiet   bool
	timeout time.Duration
}

func (c command) pubCommand() *cobra.Command {
	var o pubOptions
	cmd := &cobra.Command{
		Use:   "pub TOPIC [DATA|-]",
		Short: "Publish a message, or each line of standard input",
		Long: `Publish a message, or, without DATA or for -, each line of standard input as it comes: an empty line is the
empty text. JSON stays JSON, other text becomes a JSON string, and what is no UTF-8 becomes base64, as with
POST /topics/{name}/publish. The receipts go to standard output, a JSON object a line.

Each message has an idempotency key of its own. So what fails for a while (no connection, 429, 502, 503, 504) is
tried again, and is published once. A line that the server refuses, such as one that is too large, is reported,
and the others go on; the exit status is 1 in the end.`,
		Example: `  fanfare pub news.eu 'hello'
  fanfare pub news.eu '{"n":1}'
  fanfare pub news.eu --text 42
  tail -f /var/log/syslog | fanfare pub logs --text --quiet
  fanfare pub import --key import-7 <messages.ndjson`,
		Args:              arguments(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: c.completeTopics(&o.remote, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, err := models.ParseTopic(args[0])
			if err != nil {
				return usageError{flagError(fmt.Sprintf("%q", args[0]), err)}
			}
			if _, err := models.ParseKey(o.key); err != nil {
				return usageError{flagError("--key", err)}
			}
			if o.timeout < 0 {
				return usageError{errors.New("--timeout: want 0s or more")}
			}
			server, err := c.server(o.remote)
			if err != nil {
				return err
			}
			p := &pub{c: c, o: o, trouble: newTrouble(c.stderr)}
			p.publisher = &remote.Publisher{Server: server, Retry: remote.Retry{Timeout: o.timeout, Trouble: p.tell}}
			if len(args) == 2 && args[1] != "-" {
				return p.argument(cmd.Context(), topic, args[1])
			}
			return p.lines(cmd.Context(), topic, cmd.InOrStdin())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.key, "key", "", "the idempotency `KEY`: for a while it is published once, however often this is run. Of lines they are KEY-1, KEY-2, ...")
	flags.BoolVar(&o.asText, "text", false, "always a JSON string, also where it looks like JSON")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "no receipts")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "for how long to try again while the server takes nothing; 0s: try once")
	_ = cmd.RegisterFlagCompletionFunc("key", cobra.NoFileCompletions)
	addRemoteFlags(cmd, &o.remote)
	return cmd
}

// pub publishes, and tells what becomes of it.
type pub struct {
	c         command
	o         pubOptions
	publisher *remote.Publisher
	progress  *progress
	trouble   *trouble

	// done counts the messages that were answered, refused those of them that were refused.
	done, refused int
}

func (p *pub) argument(ctx context.Context, topic models.Topic, text string) error {
	key := p.o.key
	if key == "" {
		key = uuid.NewString()
	}
	message := remote.NewMessage(topic, key, []byte(text), p.o.asText)
	p.progress = &progress{}
	var refusal *remote.Refusal
	err := p.publisher.Publish(ctx, []remote.Message{message}, func(receipt jsontext.Value, refused *remote.Refusal) error {
		refusal = refused
		return p.receipt(receipt)
	})
	if err == nil && refusal != nil {
		return refusal
	}
	return err
}

// lines publishes the lines of a reader. While a request is under way, the next lines gather.
func (p *pub) lines(ctx context.Context, topic models.Topic, in io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.progress = p.c.newProgress(p.o.quiet)
	prefix := p.o.key
	if prefix == "" {
		prefix = uuid.NewString()
	}
	if isTerminal(in) && p.c.errTerminal {
		p.trouble.say("each line is a message; Ctrl-D ends")
	}
	messages, batches := make(chan remote.Message), make(chan []remote.Message)
	read := make(chan error, 1)
	go func() {
		defer close(messages)
		number := 0
		read <- eachLine(in, func(line []byte) error {
			number++
			select {
			case messages <- remote.NewMessage(topic, prefix+"-"+strconv.Itoa(number), line, p.o.asText):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	go gather(ctx, messages, batches)

	for batch := range batches {
		err := p.publisher.Publish(ctx, batch, p.result)
		p.progress.count(p.done)
		if err != nil {
			p.progress.end()
			return fmt.Errorf("line %d: %w", p.done+1, err)
		}
	}
	p.progress.end()
	if err := <-read; err != nil {
		return fmt.Errorf("line %d: %w", p.done+1, err)
	}
	if p.refused > 0 {
		return fmt.Errorf("%d of %d lines were refused", p.refused, p.done)
	}
	return nil
}

// result is told what became of a line.
func (p *pub) result(receipt jsontext.Value, refused *remote.Refusal) error {
	p.done++
	p.trouble.over()
	if refused == nil {
		return p.receipt(receipt)
	}
	p.refused++
	p.progress.end()
	p.trouble.say("line %d: %v", p.done, refused)
	return nil
}

func (p *pub) receipt(receipt jsontext.Value) error {
	if p.o.quiet || receipt == nil {
		return nil
	}
	_, err := p.c.stdout.Write(append(receipt, '\n'))
	return err
}

// tell makes room for what is wrong.
func (p *pub) tell(err error, patience time.Duration) {
	p.progress.end()
	p.trouble.tell(err, patience)
}

// eachLine reads lines, without their ends.
func eachLine(in io.Reader, do func(line []byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := do(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("it is longer than %d MiB", maxLine>>20)
	} else if err != nil {
		return err
	}
	return nil
}

// gather makes batches of what comes while nobody takes one: each is as large as one request may be, or as little
// as there is.
func gather(ctx context.Context, in <-chan remote.Message, out chan<- []remote.Message) {
	defer close(out)
	var batch []remote.Message
	size := 0
	for in != nil || len(batch) > 0 {
		from, to := in, out
		if len(batch) == remote.MaxBatch || size >= remote.MaxBatchSize {
			from = nil
		}
		if len(batch) == 0 {
			to = nil
		}
		select {
		case m, more := <-from:
			if !more {
				in = nil
				continue
			}
			batch, size = append(batch, m), size+m.Size()
		case to <- batch:
			batch, size = nil, 0
		case <-ctx.Done():
			return
		}
	}
}
