package cache

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of what a request names: those of @actions/cache, which refuses longer keys
// and more than ten; versions are hashes.
const (
	maxKey     = 512
	maxKeys    = 10
	maxVersion = 512
)

// parseKeys reads the keys of a lookup, which are separated by commas.
func parseKeys(text string) ([]string, error) {
	if len(text) > maxKeys*(maxKey+2) {
		return nil, fmt.Errorf("the keys have %d bytes: at most %d keys of %d characters are looked for", len(text), maxKeys, maxKey)
	}
	var keys []string
	for key := range strings.SplitSeq(text, ",") {
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		if err := checkKey(key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("there are %d keys: expected 1 to %d", len(keys), maxKeys)
	}
	return keys, nil
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKey || strings.Contains(key, ",") {
		return fmt.Errorf("the key %.100q cannot be: expected 1 to %d characters without a comma", key, maxKey)
	}
	return nil
}

func checkVersion(version string) error {
	if version == "" || len(version) > maxVersion {
		return fmt.Errorf("the version %.100q cannot be: expected 1 to %d characters", version, maxVersion)
	}
	return nil
}

// parseContentRange reads the header of a chunk, "bytes FROM-TO/*", where TO is the
// last byte (RFC 9110, section 14.4). The size behind the slash is not looked at: a
// chunk comes before the whole is known.
func parseContentRange(text string) (piece, error) {
	wrong := fmt.Errorf("Content-Range is %.100q: expected bytes FROM-TO/*", text)
	unit, rest, _ := strings.Cut(text, " ")
	span, size, ok := strings.Cut(rest, "/")
	first, last, dash := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !ok || !dash || size == "" {
		return piece{}, wrong
	}
	from, ok := decimal(first)
	to, also := decimal(last)
	if _, sized := decimal(size); !ok || !also || to < from || size != "*" && !sized {
		return piece{}, wrong
	}
	return piece{from, to + 1}, nil
}

// decimal reads digits alone, up to 2^62.
func decimal(text string) (int64, bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n <= 1<<62
}
