package container_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// TestShare changes a job's workspace from outside, by the copies that it gives.
func TestShare(t *testing.T) {
	l := engine(t)
	for name, change := range map[string]string{"root": "USER 0", "a user": "USER app"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, l.provider(t, container.Options{}), sandbox.Spec{
				ID: newSpec().ID, Repository: "octo/hello", Image: l.image(t, nil, change), Log: func(string) {},
			})
			sh(t, s, "mkdir -p d/deep; echo 1 > d/stays; echo 2 > d/deep/goes; echo 3 > changes; chmod 640 changes; ln -s /etc/passwd secret; mkfifo pipe; echo t > $RUNNER_TEMP/t 2>/dev/null || true")
			mounts, release, err := s.(sandbox.Sharer).Share(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(mounts) != 2 || mounts[0].Guest != s.Info().Workspace || mounts[1].Guest != s.Info().Temp {
				t.Fatalf("mounts %+v", mounts)
			}
			at := func(name string) string { return filepath.Join(mounts[0].Host, name) }
			target, err := os.Readlink(at("secret"))
			same(t, "the link", target, "/etc/passwd")
			if err := errors.Join(err, os.WriteFile(at("changes"), []byte("changed\n"), 0), os.RemoveAll(at("d/deep")),
				os.MkdirAll(at("new/deep"), 0o755), os.WriteFile(at("new/deep/f"), []byte("made\n"), 0o644), os.Symlink("f", at("new/deep/l")), os.Symlink("../../../../../../x", at("new/up")),
				os.WriteFile(filepath.Join(mounts[1].Host, "in-temp"), []byte("x"), 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := release(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Dir(mounts[0].Host)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the copy is still there: %v", err)
			}
			same(t, "the workspace", sh(t, s, `cat d/stays changes new/deep/l; stat -c %a changes; test -e d/deep || echo gone; test -p pipe && echo pipe
				test "$(stat -c %u new new/deep/f | uniq)" = "$(id -u)" && echo mine; echo more >> new/deep/f && echo writable`),
				"1\nchanged\nmade\n640\ngone\npipe\nmine\nwritable")
			if _, err := s.ReadFile(t.Context(), s.Info().Temp+"/in-temp", 10); err != nil {
				t.Error(err)
			}
		})
	}
}
