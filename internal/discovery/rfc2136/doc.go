// Package rfc2136 answers: how do DNS servers come to hold what DNSEndpoints have? It publishes to the zones that DNSProviders name, by
// dynamic updates (RFC 2136) signed by TSIG, over TCP. What a zone should hold, and what must not be touched in it, is decided by package
// zone; here it is asked, compared and sent, and the provider's status says what came of it.
package rfc2136

import fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"

// approval is the annotation that approves of any number of deletions.
const approval = fedv1.ApproveDeletionsAnnotation + "=*"
