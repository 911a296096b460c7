// Package corefile answers: what must a Corefile say so that CoreDNS answers for services that span clusters, and what did it say before?
// It is pure: text in, text out. Nothing but the places in question changes: comments, order and all else stay as they are.
//
// What is written where:
//
//	.:53 {                                        a key "clusterset.local:53", only if another block would be asked else
//	    kubernetes cluster.local in-addr.arpa {   the zone, behind the first one
//	        pods insecure
//	        multicluster clusterset.local         this line
//	    }
//	}
package corefile

import (
	"fmt"
	"slices"
	"strings"
)

const (
	plugin = "kubernetes"
	option = "multicluster"
)

// Add returns the text in which CoreDNS answers for the zone out of ServiceImports; the same text if it does so already. It fails, and says
// how to help, where it is not clear what to write.
func Add(text, zone string) (string, error) {
	blocks, err := parse(text)
	if err != nil {
		return "", fmt.Errorf("cannot read the Corefile: %w", err)
	}
	found, err := choose(blocks, zone)
	if err != nil {
		return "", err
	}
	var edits []edit
	for _, t := range found {
		edits = append(edits, t.add(text, zone)...)
	}
	return apply(text, edits), nil
}

// Remove returns the text without what Add has written. A stanza that is about nothing but the zone stays: Add makes none.
func Remove(text, zone string) (string, error) {
	blocks, err := parse(text)
	if err != nil {
		return "", fmt.Errorf("cannot read the Corefile: %w", err)
	}
	var edits []edit
	for _, b := range blocks {
		if b.snippet() {
			continue
		}
		stanzas := named(b.body, plugin)
		for _, d := range stanzas {
			edits = append(edits, dropStanza(text, d, zone)...)
		}
		if len(stanzas) > 0 {
			edits = append(edits, dropKeys(b, zone)...)
		}
	}
	return apply(text, edits), nil
}

// Undo returns the text as it was before Add. If nobody has edited it since, that is the former text, byte for byte; else what Add has written
// is taken out of what is there.
func Undo(before, now, zone string) (string, error) {
	if added, err := Add(before, zone); err == nil && added == now {
		return before, nil
	}
	return Remove(now, zone)
}

// Reloads says whether CoreDNS reads the text anew by itself when it has changed.
func Reloads(text string) bool {
	blocks, err := parse(text)
	return err == nil && slices.ContainsFunc(blocks, func(b block) bool { return len(named(b.body, "reload")) > 0 })
}

// edit puts a text in the place of what is between two offsets.
type edit struct {
	from, to int
	text     string
}

func insert(at int, text string) edit { return edit{at, at, text} }

// apply makes the edits, which do not overlap.
func apply(text string, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.from])
		b.WriteString(e.text)
		at = e.to
	}
	b.WriteString(text[at:])
	return b.String()
}

// add makes a target answer for the zone.
func (t target) add(text, zone string) []edit {
	d := named(t.block.body, plugin)[0]
	var edits []edit
	for _, k := range t.keys {
		edits = append(edits, insert(t.block.keys[len(t.block.keys)-1].end, " "+k))
	}
	if len(d.args) > 0 && !holds(d.args, zone) {
		edits = append(edits, insert(beforeReverse(d.args).end, " "+zone))
	}
	options := named(d.body, option)
	switch {
	case len(options) > 0:
		if last := options[len(options)-1]; !holds(last.args, zone) { // the last one counts
			edits = append(edits, insert(last.end(), " "+zone))
		}
	case d.open != nil:
		edits = append(edits, openOption(text, d, zone))
	default:
		own := indent(text, d.name.start)
		lines := newline(text) + inner(text, d) + option + " " + zone + newline(text) + own + "}"
		edits = append(edits, insert(d.end(), " {"+lines))
	}
	return edits
}

// beforeReverse is the argument to write the zone behind: the first that is no zone of addresses, as CoreDNS takes the first such zone for its own.
func beforeReverse(args []token) token {
	for _, a := range args {
		if z := normal(a.text); !strings.HasSuffix(z, ".arpa.") && !strings.Contains(z, "/") {
			return a
		}
	}
	return args[len(args)-1]
}

// openOption writes the option into the braces of a stanza, as their last line.
func openOption(text string, d directive, zone string) edit {
	line := inner(text, d) + option + " " + zone + newline(text)
	at := strings.LastIndexByte(text[:d.close.start], '\n') + 1
	if strings.TrimSpace(text[at:d.close.start]) == "" {
		return insert(at, line)
	}
	return insert(d.close.start, newline(text)+line+indent(text, d.name.start)) // something stands before the closing brace
}

// inner is the indentation within a stanza: that of its first line, or one step more than its own.
func inner(text string, d directive) string {
	if len(d.body) > 0 && d.body[0].name.line > d.name.line {
		return indent(text, d.body[0].name.start)
	}
	own := indent(text, d.name.start)
	if strings.Contains(own, "\t") {
		return own + "\t"
	}
	return own + "    "
}

// indent is the white space that begins the line of an offset.
func indent(text string, at int) string {
	line := text[strings.LastIndexByte(text[:at], '\n')+1 : at]
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

func newline(text string) string {
	if strings.Contains(text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// end is where the words of a directive's own line end, without its braces.
func (d directive) end() int {
	if len(d.args) > 0 {
		return d.args[len(d.args)-1].end
	}
	return d.name.end
}

func holds(args []token, zone string) bool {
	return slices.ContainsFunc(args, func(t token) bool { return normal(t.text) == normal(zone) })
}

// dropStanza takes the zone out of a stanza that is about others as well.
func dropStanza(text string, d directive, zone string) []edit {
	if len(d.args) == 1 && holds(d.args, zone) {
		return nil
	}
	var edits []edit
	for i, a := range d.args {
		if normal(a.text) != normal(zone) {
			continue
		}
		from := d.name.end
		if i > 0 {
			from = d.args[i-1].end
		}
		edits = append(edits, edit{from, a.end, ""})
	}
	rest := len(d.body)
	for _, o := range named(d.body, option) {
		switch {
		case !holds(o.args, zone):
		case len(o.args) > 1:
			for i, a := range o.args {
				if normal(a.text) == normal(zone) {
					edits = append(edits, edit{append([]token{o.name}, o.args...)[i].end, a.end, ""})
				}
			}
		default:
			rest--
			edits = append(edits, wholeLine(text, o))
		}
	}
	if rest == 0 && len(d.body) > 0 && bare(text, d) {
		return append(edits[:len(edits)-len(d.body)], edit{d.end(), d.close.end, ""})
	}
	return edits
}

// bare says whether the braces of a stanza hold its options and nothing else, as Add writes them.
func bare(text string, d directive) bool {
	all, err := lex(text[d.open.end:d.close.start])
	n := 0
	for _, o := range d.body {
		n += 1 + len(o.args)
	}
	return err == nil && len(all) == n && !strings.Contains(text[d.open.end:d.close.start], "#")
}

// wholeLine takes an option out with its line, if nothing else stands there.
func wholeLine(text string, o directive) edit {
	from := strings.LastIndexByte(text[:o.name.start], '\n') + 1
	to := len(text)
	if i := strings.IndexByte(text[o.end():], '\n'); i >= 0 {
		to = o.end() + i + 1
	}
	if strings.TrimSpace(text[from:o.name.start]) != "" || strings.TrimSpace(text[o.end():to]) != "" {
		return edit{o.name.start, o.end(), ""}
	}
	return edit{from, to, ""}
}

// dropKeys takes the keys of the zone off a block that has others. A comma is followed by a key.
func dropKeys(b block, zone string) []edit {
	var edits []edit
	for i, t := range b.keys {
		if i == 0 || readKey(t.text).zone != normal(zone) {
			continue
		}
		from := b.keys[i-1].end
		if strings.HasSuffix(b.keys[i-1].text, ",") && !strings.HasSuffix(t.text, ",") {
			from--
		}
		edits = append(edits, edit{from, t.end, ""})
	}
	return edits
}
