package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// defaultConfigFile is read when no file is named, if it is there.
const defaultConfigFile = "config.yaml"

// isHidden tells whether a key's value must not be repeated.
func isHidden(key string) bool {
	return slices.Contains([]string{"auth.jwt.key", "nats.secret", "nats.password", "nats.urls"}, key)
}

// envPrefix begins every environment variable of the configuration.
const envPrefix = "FANFARE_"

// ConfigSources says where LoadConfig looks after the defaults. Later ones win: File, Environ, Flags.
type ConfigSources struct {
	// File is a YAML file that has to exist. Empty means ./config.yaml if there is one.
	File string

	// Environ is the environment, as os.Environ returns it.
	Environ []string

	// Flags are the values from the command line, by key: "server.address".
	Flags map[string]string
}

// file is the one that is read, empty if there is none.
func (s ConfigSources) file() string {
	if s.File != "" {
		return s.File
	}
	if _, err := os.Stat(defaultConfigFile); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfigFile
}

// LoadConfig reads the configuration and checks it. The error lists every mistake, one a line.
func LoadConfig(sources ConfigSources) (Config, error) {
	l := configLoader{values: make(map[string]any)}
	if err := l.loadFile(sources.file()); err != nil {
		return Config{}, err
	}
	l.loadEnviron(sources.Environ)
	for key, value := range sources.Flags {
		l.values[key] = value
	}

	cfg := l.decode()
	if err := errors.Join(append(l.mistakes, cfg.validate()...)...); err != nil {
		return Config{}, fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	return cfg, nil
}

// configLoader gathers the values that were set, and what is wrong with them.
type configLoader struct {
	values   map[string]any // by key, from the last source that set it
	mistakes []error
}

// loadFile takes the values of a YAML file. A file that cannot be read or parsed is returned as an
// error, since nothing can be said about its keys.
func (l *configLoader) loadFile(name string) error {
	if name == "" {
		return nil
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(name), yaml.Parser()); err != nil {
		return fmt.Errorf("the configuration file %s: %w", name, err)
	}
	known := defaultValues()
	for _, key := range k.Keys() {
		value := k.Get(key)
		isSection := len(known.MapKeys(key)) > 0
		_, isMap := value.(map[string]any)
		switch {
		case !known.Exists(key):
			l.mistake("%s: unknown key in %s", key, name)
		case isSection && (value == nil || isMap):
			// Nothing in it: all its keys are commented out.
		case isSection && strings.HasPrefix(key, "auth"): // it may be a secret in the wrong place
			l.mistake("%s: want keys below it, such as %s.%s", key, key, known.MapKeys(key)[0])
		case isSection:
			l.mistake("%s: %w", key, wantError(value, "keys below it, such as "+key+"."+known.MapKeys(key)[0]))
		case value == nil:
			l.mistake("%s: want a value, or the key left out", key)
		default:
			l.values[key] = value
		}
	}
	return nil
}

// loadEnviron takes the values of FANFARE_SECTION_KEY variables. Those of the commands that talk to a server
// may be there, too.
func (l *configLoader) loadEnviron(environ []string) {
	keys := make(map[string]string)
	for _, key := range defaultValues().Keys() {
		keys[envName(key)] = key
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains([]string{envURL, envToken}, name) {
			continue
		}
		if key, ok := keys[name]; ok {
			l.values[key] = value
		} else {
			l.mistake("%s: unknown environment variable: want FANFARE_SECTION_KEY, such as %s", name, envName("server.address"))
		}
	}
}

// decode turns the values into a Config, key by key, so that each mistake gets its key's name. A
// key whose value cannot be read keeps its default.
func (l *configLoader) decode() Config {
	cfg := DefaultConfig()
	for _, key := range slices.Sorted(maps.Keys(l.values)) {
		switch err := decodeKey(key, l.values[key], &cfg); {
		case err == nil:
		case isHidden(key):
			l.mistake("%s: want text, or a list of it", key)
		default:
			l.mistake("%s: %w", key, err)
		}
	}
	return cfg
}

func (l *configLoader) mistake(format string, args ...any) {
	l.mistakes = append(l.mistakes, fmt.Errorf(format, args...))
}

func decodeKey(key string, value any, cfg *Config) error {
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(map[string]any{key: value}, "."), nil); err != nil {
		return err
	}
	err := k.UnmarshalWithConf("", cfg, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{DecodeHook: decodeValue, ErrorUnused: true},
	})
	// What decodeValue said, without the names that mapstructure puts around it.
	if inner, ok := errors.AsType[*mapstructure.DecodeError](err); ok {
		return inner.Unwrap()
	}
	return err
}

// defaultValues returns DefaultConfig by key. Its keys are all that exist.
func defaultValues() *koanf.Koanf {
	var values map[string]any
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{TagName: "koanf", Result: &values})
	if err == nil {
		err = d.Decode(DefaultConfig())
	}
	k := koanf.New(".")
	if err == nil {
		err = k.Load(confmap.Provider(values, ""), nil)
	}
	if err != nil {
		panic("app: Config cannot be listed by key: " + err.Error()) // our own struct: a bug
	}
	return k
}

// envName returns the environment variable for a key: FANFARE_SERVER_ADDRESS for server.address.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
