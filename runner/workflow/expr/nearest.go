package expr

import "strings"

// Nearest returns which of names word was most likely meant to be, for a
// "did you mean", or "" when none is near.
func Nearest(word string, names []string) string {
	best, bestD := "", len(word)/3+2
	for _, n := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(n), bestD); d < bestD {
			best, bestD = n, d
		}
	}
	if best == "" && len(word) >= 4 {
		for _, n := range names {
			if strings.HasPrefix(strings.ToLower(n), strings.ToLower(word)) {
				return n
			}
		}
	}
	return best
}

// distance is the number of single-character edits (two neighbours swapped are
// one) between a and b; anything of limit or more may be given as limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 100 || len(b) > 100 {
		return limit
	}
	var rows [3][]int
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur, up, up2 := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(up[j]+1, cur[j-1]+1, up[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], up2[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
