package oteltest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress is a loopback address at which another program may listen. It is none of
// those that the system gives away by itself: one of them would be another test's
// before the program is there.
func FreeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))) //nolint:gosec // nobody has to guess it
		if err == nil {
			defer func() { _ = l.Close() }() // nobody came
			return l.Addr().String()
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}
