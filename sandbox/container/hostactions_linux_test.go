package container_test

import (
	"slices"
	"strings"
	"testing"
)

// TestHostActionsOfAnotherUser: what a container's root has made in the workspace is
// removed with the job by a runner that is not root and could not remove it itself;
// after SIGKILL by the next start, as are the container and the network.
func TestHostActionsOfAnotherUser(t *testing.T) {
	for _, flags := range []string{"", "--cap-drop ALL"} {
		t.Run("ends "+flags, func(t *testing.T) {
			n := newNonRoot(t)
			_, until := n.start(victim+"_DOES=host", victim+"_SLEEP=0", victim+"_FLAGS="+flags)
			until("acting")
			same(t, "Close", until("closed"), "closed <nil>")
			same(t, "left", strings.Join(n.jobs(), " "), "")
		})
	}
	t.Run("is killed", func(t *testing.T) {
		n := newNonRoot(t)
		cmd, until := n.start(victim+"_DOES=host", victim+"_SLEEP=600")
		until("acting")
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if len(n.jobs()) != 1 {
			t.Fatalf("the job's folder is not there: %v", n.folders())
		}
		_, until = n.start(victim + "_DOES=host-sweep")
		if swept := until("swept"); !strings.HasSuffix(swept, "<nil> <nil>") || strings.HasPrefix(swept, "swept 0") {
			t.Error(swept)
		}
		same(t, "left", strings.Join(n.jobs(), " "), "")
	})
}

// jobs are the folders of host jobs.
func (n *nonRoot) jobs() []string {
	return slices.DeleteFunc(n.folders(), func(name string) bool { return strings.HasPrefix(name, ".") || name == "tool_cache" })
}
