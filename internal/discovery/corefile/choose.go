package corefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// key is what a server block is for: "[SCHEME://]ZONE[:PORT]". Scheme and port are as written, with their marks.
type key struct{ scheme, zone, port string }

func readKey(text string) key {
	var k key
	text = strings.TrimSuffix(text, ",")
	if i := strings.Index(text, "://"); i >= 0 {
		k.scheme, text = text[:i+3], text[i+3:]
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && strings.Trim(text[i+1:], "0123456789") == "" {
		text, k.port = text[:i], text[i:]
	}
	k.zone = normal(text)
	return k
}

// normal is a zone as it is compared: in lower case, with the dot at its end.
func normal(zone string) string {
	return strings.ToLower(strings.TrimSuffix(zone, ".") + ".")
}

// listener is where queries for a key come in.
func (k key) listener() string {
	scheme, port := k.scheme, k.port
	if scheme == "" {
		scheme = "dns://"
	}
	if port == "" {
		port = map[string]string{"dns://": ":53", "tls://": ":853", "quic://": ":853"}[scheme] // all else has one port for its own
	}
	return scheme + port
}

// covers is the length of the longest zone of a block, on a listener, that a zone is in; -1 if it is in none.
func (b block) covers(zone, listener string) int {
	longest := -1
	for _, t := range b.keys {
		k := readKey(t.text)
		if k.listener() == listener && within(normal(zone), k.zone) {
			longest = max(longest, len(k.zone))
		}
	}
	return longest
}

// within says whether a zone is a part of another one.
func within(zone, of string) bool {
	return of == "." || zone == of || strings.HasSuffix(zone, "."+of)
}

// target is a block whose stanza is to answer for the zone, and the keys that it has to get for that.
type target struct {
	block block
	keys  []string
}

// choose finds the blocks that are to answer for the zone: on each port on which a stanza answers, the one that is asked for it.
func choose(blocks []block, zone string) ([]target, error) {
	keys := map[int][]string{}
	seen := map[string]bool{}
	for i, b := range blocks {
		if !b.serves() {
			continue
		}
		for _, t := range b.keys {
			k := readKey(t.text)
			if seen[k.listener()] {
				continue
			}
			seen[k.listener()] = true
			if err := assign(blocks, i, k, zone, keys); err != nil {
				return nil, err
			}
		}
	}
	var out []target
	for i, b := range blocks {
		if k, ok := keys[i]; ok {
			out = append(out, target{b, k})
		}
	}
	if len(out) == 0 {
		return nil, lacking(blocks)
	}
	return out, nil
}

// assign finds who answers for the zone where the key's queries come in. CoreDNS asks the block with the longest zone that fits; if that one
// holds no stanza, the block at hand gets a key with a longer one.
func assign(blocks []block, at int, k key, zone string, keys map[int][]string) error {
	longest, taken := -1, 0
	var asked []int
	for i, b := range blocks {
		n := b.covers(zone, k.listener())
		if n < 0 || n < longest {
			continue
		}
		if n > longest {
			longest, taken, asked = n, b.line(), nil
		}
		if b.serves() {
			asked = append(asked, i)
		}
	}
	exact := longest == len(normal(zone))
	if len(asked) == 0 && exact {
		return fmt.Errorf("line %d: another server block answers for %s already: take that block out first", taken, zone)
	}
	added := k.scheme + zone + k.port
	if len(asked) == 0 {
		keys[at] = append(keys[at], added)
	}
	for _, i := range asked {
		inherits := len(named(blocks[i].body, plugin)[0].args) == 0 // its zones are those of its block
		if keys[i] = append(keys[i], []string{}...); inherits && !exact {
			keys[i] = append(keys[i], added)
		}
	}
	return nil
}

// serves says whether a block holds a stanza.
func (b block) serves() bool { return !b.snippet() && len(named(b.body, plugin)) > 0 }

func (b block) line() int { return b.keys[0].line }

// lacking says why there is no stanza.
func lacking(blocks []block) error {
	imports := false
	for _, b := range blocks {
		if stanzas := named(b.body, plugin); len(stanzas) > 0 {
			return fmt.Errorf("line %d: the plug-in kubernetes is in the snippet %s, which several blocks may import: edit it by hand", stanzas[0].name.line, b.keys[0].text)
		}
		imports = imports || slices.ContainsFunc(b.body, func(d directive) bool { return d.name.text == "import" })
	}
	if imports {
		return errors.New("no server block has the plug-in kubernetes; it may be in a file that is imported: edit that one by hand")
	}
	return errors.New("no server block has the plug-in kubernetes")
}
