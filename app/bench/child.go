package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// A child says on its standard output, at first, the addresses that it listens on. Then it
// takes orders, a line each: a word, and numbers. Every answer is lines, and an empty one
// at its end. A failure is one line that begins with failed. The child ends with its
// standard input.
const failed = "failed: "

// attend is the child's side. It returns when there are no more orders.
func attend(in io.Reader, out io.Writer, addresses string, carryOut func(order string) (string, error)) error {
	if _, err := fmt.Fprintf(out, "%s\n\n", addresses); err != nil {
		return err
	}
	orders := bufio.NewScanner(in)
	for orders.Scan() {
		answer, err := carryOut(orders.Text())
		if err != nil {
			answer = failed + err.Error() + "\n"
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return orders.Err()
}

// child is a process that takes orders, one at a time.
type child struct {
	process *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
	// addresses is what it said at first.
	addresses []string
}

// start starts this program again, as the hidden subcommand of bench, on the given core or,
// if that is negative, anywhere. It is killed when ctx ends.
func (r *runner) start(ctx context.Context, environ []string, subcommand string, core int) (*child, error) {
	process := exec.CommandContext(ctx, r.executable, "bench", subcommand) //nolint:gosec // itself
	process.Env = environ
	process.Stderr = r.stderr
	process.WaitDelay = time.Second
	orders, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := onCore(core, process.Start); err != nil {
		return nil, fmt.Errorf("cannot start the %s: %w", subcommand, err)
	}
	c := &child{process: process, orders: orders, answers: bufio.NewScanner(stdout)}
	addresses, err := c.answer()
	if err != nil {
		_ = c.stop()
		return nil, fmt.Errorf("the %s did not start: %w", subcommand, err)
	}
	c.addresses = strings.Fields(addresses)
	return c, nil
}

// order gives an order and waits until it is carried out.
func (c *child) order(order string) (string, error) {
	if _, err := fmt.Fprintln(c.orders, order); err != nil {
		return "", fmt.Errorf("%s: %w", order, err)
	}
	answer, err := c.answer()
	if err != nil {
		return "", fmt.Errorf("%s: %w", order, err)
	}
	return answer, nil
}

func (c *child) answer() (string, error) {
	var answer strings.Builder
	for c.answers.Scan() {
		if c.answers.Text() == "" {
			if what, isFailure := strings.CutPrefix(answer.String(), failed); isFailure {
				return "", fmt.Errorf("%s", strings.TrimSpace(what))
			}
			return answer.String(), nil
		}
		answer.WriteString(c.answers.Text() + "\n")
	}
	if err := c.answers.Err(); err != nil {
		return "", err
	}
	return "", io.ErrUnexpectedEOF
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	_ = c.orders.Close()
	return c.process.Wait()
}
