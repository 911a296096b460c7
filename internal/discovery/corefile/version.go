package corefile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Oldest is the first version of CoreDNS that answers for services that span clusters.
const Oldest = "1.12.2"

// Verdict is what an image's tag says of the CoreDNS in it.
type Verdict string

// The verdicts.
const (
	// Supported is new enough.
	Supported Verdict = "Supported"
	// TooOld would refuse the option, and with it the whole Corefile when it starts.
	TooOld Verdict = "TooOld"
	// Unknown has a tag that does not tell, or none.
	Unknown Verdict = "Unknown"
)

var numbered = regexp.MustCompile(`^v?([0-9]+)\.([0-9]+)\.([0-9]+)([^0-9.].*)?$`)

// Judge says whether the CoreDNS of an image knows the option, and the tag that tells. What follows the three numbers is the packager's.
func Judge(image string) (Verdict, string) {
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	is := numbers(tag)
	switch {
	case is == nil:
		return Unknown, tag
	case slices.Compare(is, numbers(Oldest)) < 0:
		return TooOld, tag
	default:
		return Supported, tag
	}
}

// numbers are the three of a version; nil if it has not three.
func numbers(version string) []int {
	m := numbered.FindStringSubmatch(version)
	if m == nil {
		return nil
	}
	var out []int
	for _, text := range m[1:4] {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}
