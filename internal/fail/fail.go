// Package fail answers: what failed, where, why, and what can the user do about it?
package fail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Exit is the code that the command ends with.
type Exit int

// The exit codes of kubefedctl.
const (
	Refused     Exit = 1
	Usage       Exit = 2
	Unreachable Exit = 3
	Forbidden   Exit = 4
	Conflict    Exit = 5
	Partial     Exit = 6
	Paused      Exit = 7
)

// Error is a failure as a user reads it.
type Error struct {
	Code Code
	// What failed, and on what.
	What string
	// Cause may be nil, if What says it all.
	Cause error
	// Hint is the way out: a command or a sentence.
	Hint string
}

// New returns a failure of this code; the text says what failed, and on what.
func (c Code) New(format string, args ...any) *Error {
	return &Error{Code: c, What: fmt.Sprintf(format, args...)}
}

// Because returns the failure with its cause.
func (e *Error) Because(err error) *Error {
	out := *e
	out.Cause = err
	return &out
}

// Try returns the failure with a way out.
func (e *Error) Try(format string, args ...any) *Error {
	out := *e
	out.Hint = fmt.Sprintf(format, args...)
	return &out
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.What
	}
	return e.What + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// ExitOf is the exit code for an error; an error that is none of ours is a refusal.
func ExitOf(err error) Exit {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Code.Exit
	default:
		return Refused
	}
}

// Text is the error in the form that kubefedctl prints: what, cause, hint and the page that tells more, a line each. Text that
// came from elsewhere is shown without control characters.
func Text(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "error: " + clean(err.Error()) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "error: %s\n", clean(e.What))
	if e.Cause != nil {
		fmt.Fprintf(&b, "  cause: %s\n", clean(e.Cause.Error()))
	}
	for n, line := range strings.Split(e.Hint, "\n") {
		switch {
		case line == "":
		case n == 0:
			fmt.Fprintf(&b, "  hint:  %s\n", clean(line))
		default:
			fmt.Fprintf(&b, "         %s\n", clean(line))
		}
	}
	fmt.Fprintf(&b, "  see:   docs/errors/%s\n", e.Code.ID)
	return b.String()
}

// JSON is the error as one line of JSON, with the same fields as the text.
func JSON(err error) string {
	form := struct {
		Code    string `json:"code,omitempty"`
		Message string `json:"message"`
		Cause   string `json:"cause,omitempty"`
		Hint    string `json:"hint,omitempty"`
		See     string `json:"see,omitempty"`
		Exit    Exit   `json:"exitCode"`
	}{Message: err.Error(), Exit: ExitOf(err)}
	var e *Error
	if errors.As(err, &e) {
		form.Code, form.Message, form.Hint, form.See = e.Code.ID, e.What, e.Hint, "docs/errors/"+e.Code.ID
		if e.Cause != nil {
			form.Cause = e.Cause.Error()
		}
	}
	var b strings.Builder
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(form) // cannot fail: it holds texts and a number
	return b.String()
}

// Clean makes foreign text harmless to a terminal. Its lines stay.
func Clean(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " "))]
		lines[i] = indent + clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// clean makes foreign text harmless to a terminal and keeps it on one line.
func clean(s string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(s) {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}
