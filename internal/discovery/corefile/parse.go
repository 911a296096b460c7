package corefile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is one word of a Corefile, from start to end in its text, quotes included.
type token struct {
	text       string
	start, end int
	// line it begins on, last it ends on, from 1; only what is quoted spans lines.
	line, last int
}

// lex cuts a text into words as CoreDNS does: a "#" begins a comment wherever it stands outside of quotes, and within a word that comment ends
// with the next space already.
func lex(text string) ([]token, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8")
	}
	var all []token
	var word strings.Builder
	var now token
	var within, quoted, escaped, comment bool
	line := 1
	finish := func(end int) {
		now.text, now.end, now.last = word.String(), end, line
		all = append(all, now)
		word.Reset()
		within, comment = false, false
	}
	end := 0 // of the word, where a comment follows at once
	for i, r := range text {
		switch {
		case quoted:
			quoted = quote(&word, r, &escaped)
			if r == '\n' {
				line++
			}
			if !quoted {
				finish(i + 1)
			}
		case r == '\r':
		case unicode.IsSpace(r):
			if within {
				finish(end)
			}
			if r == '\n' {
				line++
				comment = false
			}
		case r == '#' || comment:
			comment = true
		case !within && len(all) > 0 && all[len(all)-1].end == i:
			return nil, fmt.Errorf("line %d: a word begins where a quote ends", line)
		case !within:
			now, within, end = token{start: i, line: line}, true, i+len(string(r))
			if quoted = r == '"'; !quoted {
				word.WriteRune(r)
			}
		default:
			word.WriteRune(r)
			end = i + len(string(r))
		}
	}
	if quoted {
		return nil, fmt.Errorf("line %d: a quote is opened and never closed", now.line)
	}
	if within {
		finish(end)
	}
	return all, nil
}

// quote takes one more character of a quoted word, and says whether the word goes on.
func quote(word *strings.Builder, r rune, escaped *bool) bool {
	switch {
	case *escaped:
		if r != '"' {
			word.WriteByte('\\')
		}
		word.WriteRune(r)
		*escaped = false
	case r == '\\':
		*escaped = true
	case r == '"':
		return false
	default:
		word.WriteRune(r)
	}
	return true
}

// block is a server block, or a snippet that others import.
type block struct {
	keys []token
	body []directive
}

// directive is a line of a block: a plug-in or an option, with what stands in braces behind it.
type directive struct {
	name token
	args []token
	// open and close are its braces; both nil if it has none.
	open, close *token
	body        []directive
}

type parser struct {
	all []token
	at  int
}

func (p *parser) more() bool { return p.at < len(p.all) }

// begins says whether the word at hand is the first of its line.
func (p *parser) begins() bool {
	return p.at == 0 || p.all[p.at-1].last < p.all[p.at].line
}

func (p *parser) take() *token {
	t := &p.all[p.at]
	p.at++
	return t
}

// parse reads server blocks and snippets in their order. What is imported is not followed.
func parse(text string) ([]block, error) {
	all, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{all: all}
	var blocks []block
	for p.more() {
		if p.all[p.at].text == "import" && p.begins() {
			for p.take(); p.more() && !p.begins(); p.take() {
			}
			continue
		}
		b, err := p.block()
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// block reads one block. Its keys go on in the next line after a comma. A file of one block may leave its braces out.
func (p *parser) block() (block, error) {
	var b block
	for p.more() && p.all[p.at].text != "{" {
		if len(b.keys) > 0 && p.begins() && !strings.HasSuffix(b.keys[len(b.keys)-1].text, ",") {
			body, _, err := p.directives(nil)
			b.body = body
			return b, err
		}
		if t := *p.take(); t.text != "" {
			b.keys = append(b.keys, t)
		}
	}
	if !p.more() {
		return b, nil
	}
	open := p.take()
	if len(b.keys) == 0 || strings.HasSuffix(b.keys[len(b.keys)-1].text, ",") {
		return b, fmt.Errorf("line %d: a block opens where the name of one is missing", open.line)
	}
	body, _, err := p.directives(open)
	b.body = body
	return b, err
}

// directives reads to the brace that closes what the given one opens, or to the end.
func (p *parser) directives(open *token) ([]directive, *token, error) {
	var all []directive
	for p.more() {
		t := p.take()
		switch {
		case t.text == "}" && open != nil:
			return all, t, nil
		case t.text == "{" || t.text == "}":
			return nil, nil, fmt.Errorf("line %d: this brace belongs to nothing", t.line)
		}
		d, err := p.directive(*t)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, d)
	}
	if open != nil {
		return nil, nil, fmt.Errorf("line %d: a block is opened and never closed", open.line)
	}
	return all, nil, nil
}

func (p *parser) directive(name token) (directive, error) {
	d := directive{name: name}
	for p.more() && !p.begins() && p.all[p.at].text != "}" {
		t := p.take()
		if t.text != "{" {
			d.args = append(d.args, *t)
			continue
		}
		body, closing, err := p.directives(t)
		d.open, d.close, d.body = t, closing, body
		return d, err
	}
	return d, nil
}

// named are the directives of a name, in their order.
func named(all []directive, name string) []directive {
	var out []directive
	for _, d := range all {
		if d.name.text == name {
			out = append(out, d)
		}
	}
	return out
}

// snippet says whether the block is one that others import.
func (b block) snippet() bool {
	return len(b.keys) == 1 && strings.HasPrefix(b.keys[0].text, "(") && strings.HasSuffix(b.keys[0].text, ")")
}
