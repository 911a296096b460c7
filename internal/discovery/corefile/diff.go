package corefile

import "strings"

// around is how many lines are shown before and after a change.
const around = 3

// Diff shows what becomes of a text: its lines that go with "-", those that come with "+", and some that stay around them. Empty if the two are
// equal.
func Diff(before, after string) string {
	if before == after {
		return ""
	}
	a, b := strings.Split(strings.TrimSuffix(before, "\n"), "\n"), strings.Split(strings.TrimSuffix(after, "\n"), "\n")
	lines := align(a, b)
	show := make([]bool, len(lines))
	for i, l := range lines {
		for j := max(0, i-around); l[0] != ' ' && j <= min(len(lines)-1, i+around); j++ {
			show[j] = true
		}
	}
	var out strings.Builder
	for i, l := range lines {
		switch {
		case show[i]:
			out.WriteString(strings.TrimRight(l, " \r") + "\n")
		case i == 0 || show[i-1]:
			out.WriteString("  ...\n")
		}
	}
	return out.String()
}

// align puts two lists of lines beside each other, along their longest common part.
func align(a, b []string) []string {
	common := make([][]int, len(a)+1) // the length of the longest common part of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out, i, j = append(out, "  "+a[i]), i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out, i = append(out, "- "+a[i]), i+1
		default:
			out, j = append(out, "+ "+b[j]), j+1
		}
	}
	return out
}
