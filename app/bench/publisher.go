package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// publisher publishes to all topics of an audience in turn. It is for one goroutine.
type publisher struct {
	// Set by newPublisher, never changed.
	index    int
	audience *audience
	post     post
	dataSize int

	published int64 // over all topics
	receipts  int64 // bytes
	data      []byte
	answers   *samples // from sending to the last answer
}

// post is a connection that carries messages to the target.
type post interface {
	// add takes a message that is to be sent.
	add(topic string, data []byte) error
	// send sends what was added. It returns when the target has answered that it has all
	// of it, with the size of the answers' bodies in bytes.
	send() (receipts int, err error)
	close()
}

func newPublisher(index int, a *audience, p post, dataSize int) *publisher {
	return &publisher{index: index, audience: a, post: p, dataSize: dataSize, answers: newSamples(maxSamples)}
}

// publish publishes the next count messages, when the subscribers of their topics are
// ready for them.
func (p *publisher) publish(ctx context.Context, count int) error {
	topics := int64(len(p.audience.topics))
	for range count {
		to := p.audience.topics[(int64(p.index)+p.published)%topics]
		if to.window.enter(ctx) != nil {
			return context.Cause(ctx)
		}
		to.published.Add(1)
		now := stamp{publisher: p.index, number: p.published / topics, sent: time.Now().UnixNano()}
		p.data = appendStamp(p.data[:0], now, p.dataSize)
		if err := p.post.add(to.name, p.data); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		p.published++
	}
	sent := time.Now()
	receipts, err := p.post.send()
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	p.answers.add(time.Since(sent))
	p.receipts += int64(receipts)
	return nil
}

// flood lets all publish as fast as they can for a while, so many messages at a time each.
func flood(ctx context.Context, publishers []*publisher, atATime int, duration time.Duration) error {
	end := time.Now().Add(duration)
	publishing, ctx := errgroup.WithContext(ctx)
	for _, p := range publishers {
		publishing.Go(func() error {
			for time.Now().Before(end) {
				if err := p.publish(ctx, atATime); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return publishing.Wait()
}

// pace calls do count times, rate times a second, and takes the time that this takes.
func pace(ctx context.Context, rate float64, count int, do func() error) error {
	begin := time.Now()
	until := func(i int) time.Duration {
		return time.Duration(float64(i)/rate*float64(time.Second)) - time.Since(begin)
	}
	for i := range count {
		if err := do(); err != nil {
			return err
		}
		if err := pause(ctx, until(i+1)); err != nil {
			return err
		}
	}
	return nil
}

// webSocketPost publishes over a WebSocket of its own. Only of the last message that is
// sent at a time it wants an ack: the frames of one client are handled in order, and an
// error would be told of any.
type webSocketPost struct {
	client *client
	// answers has the outcome of each send. A goroutine reads them, which answers pings
	// meanwhile, until the connection ends.
	answers chan error

	// requests has what was added. The last is not ended yet.
	requests []byte
	topic    string
	data     []byte
}

func dialWebSocketPost(ctx context.Context, address string) (post, error) {
	client, err := dialWebSocket(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	_ = client.socket.SetDeadline(time.Time{})
	p := &webSocketPost{client: client, answers: make(chan error, 2)} // one that is late, and the end
	go func() {
		for err := error(nil); err == nil; {
			err = client.await(ackText)
			p.answers <- err
		}
	}()
	return p, nil
}

// add implements post.
func (p *webSocketPost) add(topic string, data []byte) error {
	p.end(`}`)
	p.topic, p.data = topic, append(p.data[:0], data...)
	return nil
}

// end puts the message that was added last among the requests.
func (p *webSocketPost) end(with string) {
	if p.topic != "" {
		p.requests = appendRequest(p.requests, ws.OpText,
			[]byte(`{"action":"publish","topic":"`), []byte(p.topic), []byte(`","data":`), p.data, []byte(with))
	}
	p.topic = ""
}

// send implements post. There are no bodies.
func (p *webSocketPost) send() (int, error) {
	p.end(`,"ref":1}`)
	_ = p.client.socket.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.client.socket.Write(p.requests); err != nil {
		return 0, err
	}
	p.requests = p.requests[:0]
	select {
	case err := <-p.answers:
		return 0, err
	case <-time.After(patience):
		return 0, errors.New("there is no answer")
	}
}

// close implements post.
func (p *webSocketPost) close() { _ = p.client.socket.Close() }

// httpPost publishes over a keep-alive connection.
type httpPost struct {
	socket   net.Conn
	reader   *bufio.Reader
	writer   *bufio.Writer
	request  fasthttp.Request
	response fasthttp.Response
	added    int
}

func dialHTTPPost(ctx context.Context, address string) (post, error) {
	socket, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	p := &httpPost{socket: socket, reader: bufio.NewReader(socket), writer: bufio.NewWriter(socket)}
	p.request.Header.SetMethod(fasthttp.MethodPost)
	p.request.Header.SetContentType("application/json")
	p.request.Header.SetHost(address)
	return p, nil
}

// add implements post.
func (p *httpPost) add(topic string, data []byte) error {
	p.added++
	p.request.SetRequestURI("/topics/" + topic + "/publish")
	p.request.SetBodyRaw(data)
	_ = p.socket.SetDeadline(time.Now().Add(patience))
	return p.request.Write(p.writer)
}

// send implements post.
func (p *httpPost) send() (receipts int, err error) {
	if err := p.writer.Flush(); err != nil {
		return 0, err
	}
	for ; p.added > 0; p.added-- {
		if err := p.response.Read(p.reader); err != nil {
			return 0, err
		}
		if status := p.response.StatusCode(); status != fasthttp.StatusOK {
			return 0, fmt.Errorf("status %d: %.200s", status, p.response.Body())
		}
		receipts += len(p.response.Body())
	}
	return receipts, nil
}

// close implements post.
func (p *httpPost) close() { _ = p.socket.Close() }
