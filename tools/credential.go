package tools

import (
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
	return slices.ContainsFunc([]string{"auth", "key", "token", "secret", "cookie", "passw", "credential"},
		func(part string) bool { return strings.Contains(name, part) })
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
