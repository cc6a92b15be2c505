package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fanfare/handlers/auth"
	"fanfare/models"
)

func (c command) tokenCommand() *cobra.Command {
	return groupCommand("token", "Make tokens, and see what is in them", c.tokenMintCommand(), c.tokenInspectCommand())
}

// mintOptions is what a token is to be.
type mintOptions struct {
	user    string
	grant   auth.Grant
	expires time.Duration

	// Empty where the configuration decides.
	algorithm, keyID, keyFile string
}

func (c command) tokenMintCommand() *cobra.Command {
	var o mintOptions
	cmd := &cobra.Command{
		Use:   "mint --user NAME",
		Short: "Sign a token for a user, and print it",
		Long: `Sign a token for a user, and print it. It is one for the configured server: auth.jwt says the algorithm, the
issuer and the audience, and has the shared secret of HS256, HS384 and HS512. The other algorithms sign
with a private key, which the server does not have: --key-file names it.`,
		Example: `  fanfare token mint --user ada --subscribe 'news.>' --publish news.eu
  fanfare token mint --user root --admin --expires 10m
  fanfare token mint --user ada --subscribe '>' --key-file private.pem`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usageError{err}
			}
			cfg, err := c.loadConfig(cmd)
			if err != nil {
				return err
			}
			token, err := mint(cmd.Context(), cfg.Auth, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.stdout, token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.user, "user", "", "the user's `NAME`")
	flags.StringArrayVar(&o.grant.Publish, "publish", nil, "allow to publish to the topics of `PATTERN`; may be repeated")
	flags.StringArrayVar(&o.grant.Subscribe, "subscribe", nil, "allow to listen to the topics of `PATTERN`; may be repeated")
	flags.BoolVar(&o.grant.Admin, "admin", false, "allow to list, purge and disconnect")
	flags.DurationVar(&o.expires, "expires", time.Hour, "for how long the token is valid")
	flags.StringVar(&o.algorithm, "algorithm", "", "sign with `ALG` (default the first of auth.jwt.algorithms)")
	flags.StringVar(&o.keyFile, "key-file", "", "sign with the private key, in PEM, in `FILE`")
	flags.StringVar(&o.keyID, "key-id", "", "say in the header that the key is `KID`, as a JWKS names it")
	addConfigFlag(cmd)
	return cmd
}

// check checks what needs no configuration.
func (o mintOptions) check() error {
	if err := models.CheckUser(o.user); err != nil {
		return flagError("--user", err)
	}
	if _, err := parseFlag("--publish", o.grant.Publish, models.ParsePattern); err != nil {
		return err
	}
	if _, err := parseFlag("--subscribe", o.grant.Subscribe, models.ParsePattern); err != nil {
		return err
	}
	if o.expires < time.Second {
		return errors.New("--expires: want 1s or more")
	}
	return nil
}

// parseFlag parses the values of a flag.
func parseFlag[T any](flag string, texts []string, parse func(string) (T, error)) (values []T, err error) {
	for _, text := range texts {
		value, err := parse(text)
		if err != nil {
			return nil, flagError(fmt.Sprintf("%s %q", flag, text), err)
		}
		values = append(values, value)
	}
	return values, nil
}

// flagError is an error of models without its code, which is for programs.
func flagError(flag string, err error) error {
	return fmt.Errorf("%s: %s", flag, models.AsError(err).Message)
}

// mint signs a token, and makes sure that the server would take it.
func mint(ctx context.Context, c AuthConfig, o mintOptions) (string, error) {
	if !c.JWT.isOn() {
		return "", errors.New("the configuration has no auth.jwt, so the server takes no tokens. Put this into config.yaml:\n\n" + jwtHelp)
	}
	algorithm, err := o.signWith(c.JWT)
	if err != nil {
		return "", err
	}
	key, err := o.readKey(c.JWT, algorithm)
	if err != nil {
		return "", err
	}
	now := time.Now()
	token := auth.Token{
		Algorithm: algorithm,
		KeyID:     o.keyID,
		User:      o.user,
		Issuer:    c.JWT.Issuer,
		Issued:    now,
		Expires:   now.Add(o.expires),
		Grant:     o.grant,
	}
	if c.JWT.Audience != "" {
		token.Audience = []string{c.JWT.Audience}
	}
	text, err := auth.Sign(token, key)
	if err != nil {
		return "", fmt.Errorf("cannot sign: %w", err)
	}
	if c.JWT.JWKSURL != "" {
		return text, nil // its keys may be out of reach from here
	}
	if _, reason, err := authenticate(ctx, c, nil, text); err != nil || reason != "" {
		return "", errors.Join(err, errors.New("the server would refuse the token: "+c.JWT.refusal(reason)))
	}
	return text, nil
}

// signWith gives the algorithm.
func (o mintOptions) signWith(c JWTConfig) (string, error) {
	switch {
	case o.algorithm == "" && c.JWKSURL != "":
		return "", usageError{errors.New("with auth.jwt.jwks_url there has to be --algorithm: that of the key")}
	case o.algorithm == "":
		return c.Algorithms[0], nil
	case !slices.Contains(c.Algorithms, o.algorithm):
		return "", usageError{fmt.Errorf("--algorithm %q: want one of auth.jwt.algorithms: %s", o.algorithm, strings.Join(c.Algorithms, ", "))}
	default:
		return o.algorithm, nil
	}
}

// readKey reads the key that signs: shared secrets are in the configuration, private keys are not.
func (o mintOptions) readKey(c JWTConfig, algorithm string) ([]byte, error) {
	switch {
	case !auth.IsSymmetric(algorithm) && o.keyFile == "":
		return nil, usageError{fmt.Errorf("%s signs with a private key: want --key-file", algorithm)}
	case !auth.IsSymmetric(algorithm):
		return os.ReadFile(o.keyFile)
	case o.keyFile != "":
		return nil, usageError{fmt.Errorf("%s signs with the secret in the configuration: --key-file is for the other algorithms", algorithm)}
	default:
		return c.readKey()
	}
}
