package host_test

import (
	"os"
	"strings"
	"testing"

	"otelrunner/sandbox/host"
)

// TestUserThatMayNotBe has a first process that may not become the commands' user:
// it says so before it takes a job.
func TestUserThatMayNotBe(t *testing.T) {
	if os.Getuid() == 0 {
		out, err := helper(t, "TestUserThatMayNotBe", nobody).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestUserThatMayNotBe") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	inside, err := host.NewInside(host.InsideOptions{Workspace: t.TempDir(), Temp: t.TempDir(), User: &host.User{UID: 4711, GID: 4711}})
	if err == nil {
		_ = inside.Close(t.Context()) // the test has failed already
		t.Fatal("it took the job")
	}
	for _, part := range []string{"user 4711", "not permitted"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}
