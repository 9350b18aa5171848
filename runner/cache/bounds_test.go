package cache

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// kept are those of the keys that are there. It looks without using them.
func kept(s *Store, scope Scope, keys ...string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		_, ok := s.get(&identity{scope.Server, scope.Repository, scope.Write, "v", key})
		return !ok
	})
}

// TestEviction: room is made by removing what was not used for longest, which a lookup
// counts as.
func TestEviction(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.MaxSize = 1 << 20
	store := openStore(t, o)
	scope := scopeOf("octo/demo", "refs/heads/main")
	mib := strings.Repeat("x", 250_000)
	for i, key := range []string{"a", "b", "c", "d"} {
		_, c := openDoor(t, store, scope) // each job saves half of all at most
		c.save(key, "v", mib)
		age(t, store, scope, key, time.Duration(10-i)*time.Minute)
	}
	_, c := openDoor(t, store, scope)
	if key, _ := c.find("a", "v"); key != "a" {
		t.Fatal("a is not there")
	}
	c.save("e", "v", mib)
	if got := kept(store, scope, "a", "b", "c", "d", "e"); !slices.Equal(got, []string{"a", "c", "d", "e"}) {
		t.Errorf("kept: %v", got)
	}
	age(t, store, scope, "c", week-time.Minute)
	age(t, store, scope, "d", week+time.Minute)
	store.Sweep(time.Now())
	if got := kept(store, scope, "a", "c", "d", "e"); !slices.Equal(got, []string{"a", "c", "e"}) {
		t.Errorf("kept after a week: %v", got)
	}
	store.Sweep(time.Now().Add(8 * 24 * time.Hour))
	if left := filesIn(t, o.Dir, "entries"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestFreeDisk: entries make room for others on the disk, and nothing is saved where
// that does not help.
func TestFreeDisk(t *testing.T) {
	t.Parallel()
	free := int64(1 << 20)
	o := testOptions(t)
	o.MinFree, o.Free = 1<<20, func(string) (int64, error) { return free, nil }
	store := openStore(t, o)
	scope := scopeOf("octo/demo", "refs/heads/main")
	_, c := openDoor(t, store, scope)
	if status, _ := c.reserve("a", "v", 100); status != http.StatusInsufficientStorage {
		t.Errorf("a disk without room: %d", status)
	}
	free += 1000
	c.save("a", "v", strings.Repeat("x", 500))
	free -= 700
	c.save("b", "v", strings.Repeat("x", 600))
	if got := kept(store, scope, "a", "b"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("kept: %v", got)
	}
	if status, _ := c.reserve("c", "v", 100_000); status != http.StatusInsufficientStorage {
		t.Errorf("more than there is: %d", status)
	}
}

// TestJobsShare: what one job may save is bounded, in one entry and in many, and what
// is not told counts as soon as it comes.
func TestJobsShare(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.MaxSize = 4000
	scope := scopeOf("octo/demo", "refs/heads/main")
	store := openStore(t, o)
	_, c := openDoor(t, store, scope)
	if status, _ := c.reserve("large", "v", 2001); status != http.StatusBadRequest {
		t.Errorf("an entry of more than half of all: %d", status)
	}
	status, id := c.reserve("unknown", "v", 0)
	if status != http.StatusCreated {
		t.Fatal(status)
	}
	if status := c.chunk(id, 0, make([]byte, 1001)); status != http.StatusBadRequest {
		t.Errorf("more than half of what the job has: %d", status)
	}
	if status := c.chunk(id, 0, make([]byte, 100)); status != http.StatusNoContent {
		t.Error(status)
	}
	if status := c.commit(id, 100); status != http.StatusNoContent {
		t.Error(status)
	}
	c.save("second", "v", strings.Repeat("x", 1900))
	if status, _ := c.reserve("third", "v", 1); status != http.StatusBadRequest {
		t.Errorf("more than half of all in several entries: %d", status)
	}
	if store.pending != 0 || store.arrived != 0 {
		t.Errorf("%d bytes are pending, %d have arrived", store.pending, store.arrived)
	}
	_, c = openDoor(t, store, scope)
	for i := range doorUploads {
		if status, _ := c.reserve(itoa(i), "v", 1); status != http.StatusCreated {
			t.Fatal(i, status)
		}
	}
	if status, _ := c.reserve("one more", "v", 1); status != http.StatusTooManyRequests {
		t.Errorf("too many at a time: %d", status)
	}
}

// TestPieces: what has come is known whatever its order, and holes are bounded.
func TestPieces(t *testing.T) {
	t.Parallel()
	var p pieces
	for _, one := range []piece{{10, 20}, {30, 40}, {0, 5}, {20, 30}, {12, 18}, {5, 10}, {7, 7}, {35, 50}} {
		if !p.add(one) {
			t.Fatal(one)
		}
	}
	if !p.whole(50) || p.whole(49) || p.whole(51) || p.size() != 50 {
		t.Errorf("%v", p)
	}
	p = nil
	if !p.whole(0) || p.whole(1) {
		t.Error("nothing is not 0 bytes")
	}
	for i := range int64(maxPieces) {
		if !p.add(piece{2 * i, 2*i + 1}) {
			t.Fatal(i)
		}
	}
	if p.add(piece{2 * maxPieces, 2*maxPieces + 1}) || !p.add(piece{1, 2}) || len(p) != maxPieces-1 {
		t.Errorf("%d pieces", len(p))
	}
}
