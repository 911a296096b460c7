package rfc2136

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Reasons why a zone is not as it should be.
const (
	Published         = "Published"
	ServerUnreachable = "ServerUnreachable"
	ServerFailed      = "ServerFailed"
	KeyRefused        = "KeyRefused"
	ClockSkew         = "ClockSkew"
	NotTheZone        = "NotTheZone"
	QueryRefused      = "QueryRefused"
	TransferRefused   = "TransferRefused"
	UpdateRefused     = "UpdateRefused"
	SecretMissing     = "SecretMissing"
	InvalidProvider   = "InvalidProvider"
	NamesRefused      = "NamesRefused"
	DeletionPaused    = "DeletionPaused"
	ZoneChanged       = "ZoneChanged"
)

// Fault is why a server did not do what it was asked for. The user must change something where it stalls.
type Fault struct {
	Reason, Message string
	Stalls          bool
	// oneOf says that one of the steps of an update may be the cause.
	oneOf bool
}

func (f *Fault) Error() string { return f.Message }

// Errors of TSIG (RFC 8945, section 3) that come within a TSIG record.
const (
	badSig  = 16
	badKey  = 17
	badTime = 18
)

// fault reads an answer; nil if all is well. The first rule that matches wins.
func (s Server) fault(act string, answer *dns.Msg, err error) error {
	say := func(reason string, stalls bool, format string, args ...any) error {
		return &Fault{Reason: reason, Stalls: stalls, Message: fmt.Sprintf("%s, to %s %s: ", s.Address, act, s.Zone) + fmt.Sprintf(format, args...)}
	}
	var tsig *dns.TSIG
	if answer != nil {
		tsig = answer.IsTsig()
	}
	switch {
	case tsig != nil && tsig.Error == badTime:
		return say(ClockSkew, true, "its clock and the one here differ by more than 5 minutes")
	case tsig != nil && tsig.Error == badKey && answer.Opcode == dns.OpcodeUpdate:
		// Knot says so of a key that it knows, and that may not do this.
		return s.updateRefused()
	case tsig != nil && tsig.Error == badKey:
		return say(KeyRefused, true, "it knows no key %s of algorithm %s: see spec.tsig", s.keyName(), s.algorithm())
	case tsig != nil && tsig.Error == badSig, isKey(err):
		return say(KeyRefused, true, "the key %s has another secret there, or another algorithm: see spec.tsig", s.keyName())
	case err != nil && answer == nil:
		return say(ServerUnreachable, false, "%s", network(err))
	case err != nil:
		return say(ServerFailed, false, "%v", err)
	case answer.Rcode == dns.RcodeSuccess && s.Key != nil && tsig == nil:
		return say(KeyRefused, true, "it answers without signing by key %s", s.keyName())
	default:
		return s.coded(say, answer)
	}
}

// coded reads the response code.
func (s Server) coded(say func(string, bool, string, ...any) error, answer *dns.Msg) error {
	code := dns.RcodeToString[answer.Rcode]
	switch answer.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset:
		return &Fault{Reason: ZoneChanged, Message: "somebody else has changed the name in the meantime (" + code + ")", oneOf: true}
	case dns.RcodeNameError:
		if answer.Opcode == dns.OpcodeUpdate {
			return &Fault{Reason: ZoneChanged, Message: "somebody else has changed the name in the meantime (" + code + ")", oneOf: true}
		}
		return say(NotTheZone, true, "%s: it does not have the zone", code)
	case dns.RcodeNotAuth, dns.RcodeNotZone:
		return say(NotTheZone, true, "%s: it is not the primary of the zone", code)
	case dns.RcodeRefused:
		if answer.Opcode != dns.OpcodeUpdate {
			return say(QueryRefused, true, "%s: it does not have the zone, or does not answer this address", code)
		}
		return s.updateRefused()
	default:
		return say(ServerFailed, false, "%s", code)
	}
}

func (s Server) updateRefused() error {
	return &Fault{Reason: UpdateRefused, Stalls: true, oneOf: true, Message: fmt.Sprintf("%s refuses to update %s: allow it for %s", s.Address, s.Zone, s.whoAsks())}
}

// transferFault reads the error of a transfer, in which the library tells the response code in words only. The key was good for the question
// before.
func (s Server) transferFault(act string, err error) error {
	if strings.Contains(err.Error(), "bad xfr rcode") || isKey(err) {
		return &Fault{Reason: TransferRefused, Stalls: true, Message: fmt.Sprintf("%s refuses to transfer %s (%v): allow AXFR for %s; without it nothing is written, for nobody knows what is there", s.Address, s.Zone, err, s.whoAsks())}
	}
	return s.fault(act, nil, err)
}

func (s Server) notTheZone(act string) error {
	return &Fault{Reason: NotTheZone, Stalls: true, Message: fmt.Sprintf("%s, to %s %s: it does not have the zone", s.Address, act, s.Zone)}
}

func (s Server) whoAsks() string {
	if s.Key == nil {
		return "this address, or give spec.tsig"
	}
	return "key " + s.Key.Name
}

func (s Server) keyName() string {
	if s.Key == nil {
		return "(none)"
	}
	return s.Key.Name
}

func (s Server) algorithm() string {
	if s.Key == nil {
		return "(none)"
	}
	return s.Key.Algorithm
}

// isKey says whether an error is about signatures.
func isKey(err error) bool {
	for _, one := range []error{dns.ErrSig, dns.ErrAuth, dns.ErrSecret, dns.ErrKeyAlg, dns.ErrKey, dns.ErrNoSig} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// network is an error of the network without what differs from one try to the next: the port here.
func network(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "->"); ok {
		if _, why, ok := strings.Cut(after, ": "); ok {
			return why
		}
	}
	return text
}

// secretOK says whether a secret is base64.
func secretOK(secret string) bool {
	raw, err := base64.StdEncoding.DecodeString(secret)
	return err == nil && len(raw) > 0
}
