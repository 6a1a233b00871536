package tools

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// harmless are parts of names that only look like those of credentials.
var harmless = strings.NewReplacer("idempotency-key", "", "idempotency_key", "", "keyword", "",
	"authori", "auth", "author", "")

// namesCredential says whether a header or a parameter of this name holds a
// credential. A name too many is hidden rather than one too few.
func namesCredential(name string) bool {
	name = harmless.Replace(strings.ToLower(name))
	parts := []string{"auth", "key", "token", "secret", "cookie", "passw", "pwd", "credential", "signature"}
	return name == "sig" || slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

var (
	// isScheme is the word before a credential in a header (RFC 9110 section 11),
	// or one of those that services use without having it registered.
	isScheme = regexp.MustCompile(
		`(?i)^(basic|bearer|digest|token|oauth|key|apikey|api-key|ssws|geniekey|zoho-oauthtoken)$`)
	// onlyPlaceholders is a value, or one pair of a cookie, that is put in whole.
	onlyPlaceholders = regexp.MustCompile(`^(\{\{[^{}]*\}\}[\s:]*)+$`)
	cookieName       = regexp.MustCompile(`^\s*[\w.-]+=`)
)

// isCredential says whether a value holds a credential as it is: more than
// placeholders, after the word of a scheme.
func isCredential(name, value string) bool {
	if value == "" || !namesCredential(name) {
		return false
	}
	if strings.EqualFold(name, "cookie") {
		return slices.ContainsFunc(strings.Split(value, ";"), func(pair string) bool {
			pair = strings.TrimSpace(cookieName.ReplaceAllString(pair, ""))
			return pair != "" && !onlyPlaceholders.MatchString(pair)
		})
	}
	_, rest := cutScheme(value)
	return !onlyPlaceholders.MatchString(rest)
}

// cutScheme parts "Bearer x" into its scheme, "" for none, and the rest.
func cutScheme(value string) (scheme, rest string) {
	value = strings.TrimSpace(value)
	if first, after, ok := strings.Cut(value, " "); ok && isScheme.MatchString(first) {
		return first, strings.TrimSpace(after)
	}
	return "", value
}

// maskHeader hides credentials; of "Bearer x" the scheme is kept.
func maskHeader(name, value string) string {
	if !namesCredential(name) {
		return value
	}
	if scheme, _ := cutScheme(value); scheme != "" && strings.EqualFold(name, "authorization") {
		return scheme + " ***"
	}
	return "***"
}

// urlUser is who asks, in a URL: what stands before the last @ of its authority
// (RFC 3986 section 3.2.1). urlPair is a name and a value of its query or of its
// fragment.
var (
	urlUser = regexp.MustCompile(`^([a-zA-Z][\w+.-]*://)([^/?#]*)@`)
	urlPair = regexp.MustCompile(`([?&;#])([^?&;#=]+)=([^&;#]+)`)
)

// MaskURL is a URL, which may hold placeholders, without the credentials that
// stand in it as they are: a user and a password, and parameters whose name says
// that they are one. Of what stands in a path nobody can tell.
func MaskURL(raw string) string {
	if m := urlUser.FindStringSubmatchIndex(raw); m != nil && !onlyPlaceholders.MatchString(raw[m[4]:m[5]]) {
		raw = raw[:m[4]] + "***" + raw[m[5]:]
	}
	return urlPair.ReplaceAllStringFunc(raw, func(pair string) string {
		m := urlPair.FindStringSubmatch(pair)
		name, err := url.QueryUnescape(m[2])
		if err != nil {
			name = m[2]
		}
		if !isCredential(name, m[3]) {
			return pair
		}
		return m[1] + m[2] + "=***"
	})
}
