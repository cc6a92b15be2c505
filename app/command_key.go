package app

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fanfare/handlers/auth"
)

// maxCredentialLine is how much is read of a line with a token or key, in bytes: more than any may
// have.
const maxCredentialLine = 64 << 10

func (c command) keyCommand() *cobra.Command {
	return groupCommand("key", "Make API keys, and hash them for the configuration", c.keyHashCommand())
}

func (c command) keyHashCommand() *cobra.Command {
	var generate bool
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Print the hash of an API key, for auth.api_keys",
		Long: `Print the hash of an API key, for auth.api_keys in the configuration, which has no key itself.

The key is read from standard input, one line, so that it need not stand in the shell's history. With
--generate a new one is made: it alone goes to standard output, and its hash, with the lines for
config.yaml, to standard error. Nothing keeps the key: who loses it makes another.`,
		Example: `  fanfare key hash --generate
  fanfare key hash --generate >reports.key
  fanfare key hash <reports.key`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if generate {
				return c.generateKey()
			}
			key, err := readLine(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if err := auth.CheckKey(key); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.stdout, auth.HashKey(key))
			return err
		},
	}
	cmd.Flags().BoolVar(&generate, "generate", false, "make a new key, in place of reading one")
	return cmd
}

// generateKey reads well on a terminal, and leaves nothing but the key to a pipe.
func (c command) generateKey() error {
	key := auth.NewKey()
	if _, err := fmt.Fprint(c.stderr, "The key, for the program that is to use it. It is not kept anywhere:\n\n"); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c.stdout, key); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stderr, `
Its hash, for the server's config.yaml:

auth:
  api_keys:
    - name: NAME
      hash: %s
      subscribe: []
      publish: []
      admin: false
`, auth.HashKey(key))
	return err
}

// readLine reads the one line that there is, without what is around it.
func readLine(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCredentialLine))
	line := strings.TrimSpace(string(text))
	if err == nil && strings.Contains(line, "\n") {
		err = errors.New("there is more than one line")
	}
	return line, err
}
