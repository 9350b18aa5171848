package runner

import "testing"

func TestSplitRemote(t *testing.T) {
	for _, c := range []struct{ in, server, name string }{
		{"https://git.example.org/own/project.git", "https://git.example.org", "own/project"},
		{"https://u:p@git.example.org:3000/own/project", "https://git.example.org:3000", "own/project"},
		{"http://localhost:3000/git/own/project.git", "http://localhost:3000/git", "own/project"},
		{"git@git.example.org:own/project.git", "https://git.example.org", "own/project"},
		{"ssh://git@git.example.org:2222/own/project.git", "https://git.example.org", "own/project"},
		{"/srv/git/project.git", "", ""},
		{"../project", "", ""},
		{"https://git.example.org/", "", ""},
	} {
		server, name, ok := splitRemote(c.in)
		if server != c.server || name != c.name || ok != (c.name != "") {
			t.Errorf("%s: %q, %q, %v; want %q, %q", c.in, server, name, ok, c.server, c.name)
		}
	}
}
