package actiontest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/storage/memory"
)

// snapshot is a repository at one moment; objects are never changed.
type snapshot struct {
	storage             *memory.Storage
	refs                map[string]plumbing.Hash
	head                string
	tipsOnly, noShallow bool
}

func (r *Repo) snapshot() *snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &snapshot{
		storage: memory.NewStorage(), refs: map[string]plumbing.Hash{}, head: r.head,
		tipsOnly: r.tipsOnly, noShallow: r.noShallow,
	}
	for name, h := range r.refs {
		s.refs[name] = h
	}
	for _, o := range r.storage.Objects {
		if _, err := s.storage.SetEncodedObject(o); err != nil {
			panic(fmt.Sprintf("actiontest: %s: copy an object: %v", r.Name, err))
		}
	}
	return s
}

// advertise answers GET info/refs (gitprotocol-http, "Smart Clients").
func (r *Repo) advertise(w http.ResponseWriter, _ io.Reader) error {
	s := r.snapshot()
	adv := packp.NewAdvRefs()
	adv.Prefix = [][]byte{[]byte("# service=git-upload-pack"), pktline.Flush}
	for name, h := range s.refs {
		adv.References[name] = h
		if tag, err := object.GetTag(s.storage, h); err == nil {
			adv.Peeled[name] = tag.Target
		}
	}
	caps := []capability.Capability{capability.OFSDelta, capability.Sideband64k, capability.NoProgress}
	if !s.noShallow {
		caps = append(caps, capability.Shallow)
	}
	if !s.tipsOnly {
		caps = append(caps, capability.AllowTipSHA1InWant, capability.AllowReachableSHA1InWant)
	}
	for _, c := range caps {
		if err := adv.Capabilities.Set(c); err != nil {
			return err
		}
	}
	if h, ok := s.refs[s.head]; ok {
		adv.Head = &h
		if err := adv.Capabilities.Add(capability.SymRef, "HEAD:"+s.head); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	return adv.Encode(w)
}

// uploadPack answers POST git-upload-pack of a client that has nothing yet.
func (r *Repo) uploadPack(w http.ResponseWriter, body io.Reader) error {
	s := r.snapshot()
	req := packp.NewUploadPackRequest()
	if err := req.Decode(body); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	haves, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read what the client has: %w", err)
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	for _, want := range req.Wants {
		if !s.allows(want) {
			refusal := pktline.ErrorLine{Text: "upload-pack: not our ref " + want.String()}
			return refusal.Encode(w)
		}
	}
	objects, shallow, err := s.objects(req)
	if err != nil {
		return err
	}
	lines := pktline.NewEncoder(w)
	if !req.Depth.IsZero() {
		for _, h := range shallow {
			if err := lines.Encodef("shallow %s\n", h); err != nil {
				return err
			}
		}
		if err := lines.Flush(); err != nil {
			return err
		}
	}
	// Git asks for the shallow list alone first.
	if !bytes.Contains(haves, []byte("done")) {
		return nil
	}
	if err := lines.Encodef("NAK\n"); err != nil {
		return err
	}
	return s.sendPack(w, req, objects)
}

func (s *snapshot) sendPack(w io.Writer, req *packp.UploadPackRequest, objects []plumbing.Hash) error {
	to := w
	multiplexed := req.Capabilities.Supports(capability.Sideband64k)
	if multiplexed {
		to = sideband.NewMuxer(sideband.Sideband64k, w)
	}
	if _, err := packfile.NewEncoder(to, s.storage, false).Encode(objects, 10); err != nil {
		return fmt.Errorf("send the pack: %w", err)
	}
	if multiplexed {
		return pktline.NewEncoder(w).Flush()
	}
	return nil
}

func (s *snapshot) allows(want plumbing.Hash) bool {
	for _, h := range s.refs {
		if h == want {
			return true
		}
	}
	return !s.tipsOnly && s.storage.HasEncodedObject(want) == nil
}

// objects are what the wanted ids need, and the commits whose parents are left
// out.
func (s *snapshot) objects(req *packp.UploadPackRequest) (objects, shallow []plumbing.Hash, err error) {
	depth, ok := req.Depth.(packp.DepthCommits)
	if !ok || depth == 0 {
		objects, err = revlist.Objects(s.storage, req.Wants, nil)
		return objects, nil, err
	}
	seen := map[plumbing.Hash]bool{}
	add := func(h plumbing.Hash) bool {
		if seen[h] {
			return false
		}
		seen[h] = true
		objects = append(objects, h)
		return true
	}
	level := req.Wants
	for n := 1; len(level) > 0; n++ {
		var next []plumbing.Hash
		for _, h := range level {
			if tag, err := object.GetTag(s.storage, h); err == nil {
				add(h)
				h = tag.Target
			}
			c, err := object.GetCommit(s.storage, h)
			if err != nil {
				return nil, nil, err
			}
			if !add(h) {
				continue
			}
			tree, err := revlist.Objects(s.storage, []plumbing.Hash{c.TreeHash}, nil)
			if err != nil {
				return nil, nil, err
			}
			for _, o := range tree {
				add(o)
			}
			if n < int(depth) {
				next = append(next, c.ParentHashes...)
			} else if len(c.ParentHashes) > 0 {
				shallow = append(shallow, h)
			}
		}
		level = next
	}
	return objects, shallow, nil
}
