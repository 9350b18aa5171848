package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every key is either taken by a running process or named as one that needs a
// restart: a new key must be put into one of the two lists.
func TestEveryKeyIsLiveOrNeedsARestart(t *testing.T) {
	paths := map[string]bool{}
	for _, k := range schema() {
		paths[k.path] = true
		_, restarts := restart()[k.path]
		if listed := slices.ContainsFunc(live(), func(l string) bool {
			return l == k.path || strings.HasSuffix(l, ".") && strings.HasPrefix(k.path, l)
		}); !listed && !restarts {
			t.Errorf("%s is neither live nor in need of a restart", k.path)
		}
	}
	for path, why := range restart() {
		if !paths[path] || why == "" || slices.Contains(live(), path) {
			t.Errorf("restart: %s (%q) is no key, has no reason, or is live too", path, why)
		}
	}
	for _, l := range live() {
		if !strings.HasSuffix(l, ".") && !paths[l] {
			t.Errorf("live: %s is no key", l)
		}
	}
}

// Each key that changes is taken, or left and named, on its own.
func TestReloadOfEachKey(t *testing.T) {
	for _, k := range schema() {
		old, next := Default(), Default()
		change(t, k.field(&next))
		want, taken, left := old, []string{k.path}, []string(nil)
		if isLive(k.path) {
			want = next
		} else {
			taken, left = left, taken
		}
		got, took, leaves := Reload(&old, &next)
		if !reflect.DeepEqual(*got, want) || !slices.Equal(took, taken) || !slices.Equal(leaves, left) {
			t.Errorf("%s: taken %v, left %v, got %+v", k.path, took, leaves, *got)
		}
	}
}

// change gives a key's field another value.
func change(t *testing.T, field any) {
	t.Helper()
	switch f := field.(type) {
	case *int:
		*f++
	case *bool:
		*f = !*f
	case *string:
		*f += "x"
	case *Size:
		*f++
	case *time.Duration:
		*f++
	case *[]string:
		*f = append(*f, "x")
	case *map[string]string:
		*f = map[string]string{"x": "y"}
	default:
		t.Fatalf("a key of type %T", field)
	}
}
