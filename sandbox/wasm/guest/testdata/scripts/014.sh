set -e; f() { false; echo in f; }; f || echo caught; if f; then echo yes; fi
