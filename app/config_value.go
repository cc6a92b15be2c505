package app

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decodeValue is the hook that turns a value from YAML, the environment or a flag into the type of
// its field. It is strict: a bare 30 is no duration, 1.5 and true are no numbers.
func decodeValue(from, to reflect.Value) (any, error) {
	value := from.Interface()
	if to.Kind() == reflect.Struct {
		return value, nil // a section: its keys come one by one
	}
	if to.Kind() == reflect.Slice {
		if text, ok := value.(string); ok && to.Type().Elem().Kind() == reflect.Struct {
			return parseList(text)
		} else if ok {
			return splitList(text), nil
		}
		if from.Kind() == reflect.Slice {
			return value, nil // its elements come one by one
		}
		return nil, wantError(value, "a list")
	}
	if from.Kind() == reflect.Map || from.Kind() == reflect.Slice {
		return nil, wantError(value, "a single value")
	}

	text := fmt.Sprint(value)
	switch to.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, wantError(value, "a duration with its unit, such as 500ms, 30s or 1h30m")
		}
		return d, nil
	case ByteSize:
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil {
			return nil, wantError(value, "a size, such as 64KiB, 4MiB or 1GiB")
		}
		return b, nil
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, wantError(value, "true or false")
		}
		return b, nil
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, wantError(value, "a whole number")
		}
		return n, nil
	case float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, wantError(value, "a number")
		}
		return f, nil
	default:
		return text, nil
	}
}

// splitList splits a comma-separated list. Empty text is the empty list.
func splitList(text string) []string {
	list := []string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// parseList reads a list of sections in YAML or JSON, for the environment. What is wrong with it is not
// repeated, since it may hold a secret.
func parseList(text string) (any, error) {
	var list []any
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		return nil, errors.New("want a list in YAML or JSON, such as [{name: me, hash: ...}]")
	}
	return list, nil
}

// wantError says what is expected in place of a value.
func wantError(value any, want string) error {
	return fmt.Errorf("%q: want %s", fmt.Sprint(value), want)
}
