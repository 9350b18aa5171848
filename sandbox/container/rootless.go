package container

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A container that may not change users or owners, since its capabilities were
// taken away, starts as its steps' user at once: the helper has nothing to hand
// out then. Only the folder of the workspace has to be made ready from outside.

// handingOut are the capabilities that the helper hands out users with.
var handingOut = []string{"CHOWN", "SETUID", "SETGID"}

// fixedUser is whom the helper itself has to run as; "" is root. The container of an
// action then runs as the job's own does: another user could neither be changed to,
// nor write the job's workspace and command files.
func (l place) fixedUser() string {
	if l.as != "" {
		if l.settings.lacks(handingOut) {
			return l.as
		}
		return ""
	}
	user := l.user()
	name, _, _ := strings.Cut(user, ":")
	if name == "" || name == "root" || name == "0" || !l.settings.lacks(handingOut) {
		return ""
	}
	return user
}

// user is the workflow's or operator's choice, else the image's; "" is root.
func (l place) user() string {
	if user := l.settings.config.User; user != "" || l.image.Config == nil {
		return user
	}
	return l.image.Config.User
}

// lacks reports whether one of some capabilities is taken away.
func (s *settings) lacks(capabilities []string) bool {
	if s.host.Privileged {
		return false
	}
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(c string) bool {
			return strings.EqualFold(strings.TrimPrefix(strings.ToUpper(c), "CAP_"), name)
		})
	}
	return slices.ContainsFunc(capabilities, func(c string) bool {
		taken := has(s.host.CapDrop, c) || has(s.host.CapDrop, "ALL")
		return taken && !has(s.host.CapAdd, c) && !has(s.host.CapAdd, "ALL")
	})
}

// openWorkRoot lets every user of a container that has not started yet make
// folders in workRoot.
func (p *Provider) openWorkRoot(ctx context.Context, id string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := errors.Join(
		w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(workRoot, "/") + "/", Typeflag: tar.TypeDir, Mode: 0o777}),
		w.Close())
	if err != nil {
		return fmt.Errorf("pack %s: %w", workRoot, err)
	}
	if err := p.engine.unpack(ctx, id, "/", &archive); err != nil {
		return p.engine.sentence(ctx, "prepare "+workRoot+" of the container", err)
	}
	return nil
}
