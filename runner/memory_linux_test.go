package runner

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentOf is a kind of this process's resident memory in bytes: RssFile, RssAnon.
func residentOf(t *testing.T, kind string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), kind+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

func TestGiveMemoryBack(t *testing.T) {
	if len(programMappings()) < 2 {
		t.Errorf("mappings %v", programMappings())
	}
	before := residentOf(t, "RssFile")
	giveMemoryBack()
	after := residentOf(t, "RssFile")
	t.Logf("%d KiB of the program, then %d KiB", before>>10, after>>10)
	if after > before*3/4 {
		t.Errorf("%d bytes of the program, then %d", before, after)
	}
}
