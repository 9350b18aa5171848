package config

import (
	"strings"

	"github.com/xrash/smetrics"
)

// Suggest returns the candidate that word was probably meant to be, or "".
// Dotted candidates are found by their last part, too.
func Suggest(word string, candidates []string) string {
	best, bestCost := "", max(len(word)/3, 2)+1
	for _, c := range candidates {
		cost := distance(word, c)
		if last := lastPart(c); last != c {
			cost = min(cost, 1+distance(lastPart(word), last))
		}
		if cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best
}

func distance(a, b string) int {
	return smetrics.WagnerFischer(strings.ToLower(a), strings.ToLower(b), 1, 1, 1)
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// didYouMean is the second half of a message about an unknown word.
func didYouMean(word string, candidates []string) string {
	if s := Suggest(word, candidates); s != "" {
		return ", did you mean " + s + "?"
	}
	return ""
}
