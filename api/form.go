package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// form is whose errors a path answers with: a client of another platform reads
// those of that platform.
type form int

const (
	ours      form = iota
	talkpilot      // {"error": {code in capitals, message, request_id}} (T-22, T-25)
	flireo         // {"error": {code, message, param, type}} (F-19)
)

// formOf is the form of a path: TalkPilot's tools of an agent, Flireo's base.
func formOf(path string) form {
	if strings.HasPrefix(path, "/api/v1/") {
		return flireo
	}
	if rest, ok := strings.CutPrefix(path, "/v1/agents/"); ok {
		if _, rest, ok = strings.Cut(rest, "/"); ok && (rest == "tools" || strings.HasPrefix(rest, "tools/")) {
			return talkpilot
		}
	}
	return ours
}

// flireoTypes are the types of its errors, by their status.
var flireoTypes = map[int]string{
	http.StatusUnauthorized: "authentication_error", http.StatusForbidden: "permission_error",
	http.StatusNotFound: "not_found_error", http.StatusTooManyRequests: "rate_limit_error",
}

// VendorError is the envelope of the paths of another platform.
type VendorError struct {
	Error VendorErrorBody `json:"error"`
}

// VendorErrorBody is what is in it: TalkPilot's has a request_id and, where
// several things are wrong, all of them in details; Flireo's param and type.
type VendorErrorBody struct {
	Code      string  `json:"code" example:"FORBIDDEN"`
	Message   string  `json:"message"`
	Param     string  `json:"param,omitempty"`
	Type      string  `json:"type,omitempty"`
	RequestID string  `json:"request_id,omitempty"`
	Details   []Fault `json:"details,omitempty"`
}

// vendor is a problem in the form of its path.
func (p *Problem) vendor() ([]byte, error) {
	e := VendorErrorBody{Code: p.Code, Message: p.Detail, Details: p.Faults}
	switch p.form {
	case talkpilot:
		e.Code, e.RequestID = strings.ToUpper(p.Code), p.requestID
	default:
		e.Param = p.Param
		e.Type = flireoTypes[p.Status]
		if e.Type == "" {
			e.Type = "invalid_request_error"
			if p.Status >= http.StatusInternalServerError {
				e.Type = "api_error"
			}
		}
	}
	return json.Marshal(VendorError{e})
}

// inForm says a problem as its path's platform does.
func (p *Problem) inForm() {
	if p.Status == http.StatusTooManyRequests {
		p.Detail = fmt.Sprintf("Rate limit exceeded. Try again in %d seconds.", p.wait)
		if p.form == flireo {
			p.Code = "rate_limit_exceeded"
			p.Detail = fmt.Sprintf("Too many requests. Please retry after %d seconds.", p.wait)
		}
	}
	if p.form == talkpilot && p.scope != "" {
		p.Detail = "API key lacks required permission: " + cmp.Or(vendorScopes[p.scope], p.scope)
	}
}

// aliases are the names that other platforms have for our scopes (T-23).
// Employees and organizations do not exist here: those open nothing.
var aliases = map[string]string{
	"kb:read": "knowledge:read", "kb:write": "knowledge:write",
	"forwarding:read": "numbers:read", "forwarding:write": "numbers:write",
	"employees:read": "", "employees:write": "", "organization:read": "", "organization:write": "",
}

// vendorScopes is what TalkPilot calls a scope of ours, where it differs.
var vendorScopes = map[string]string{"knowledge:read": "kb:read", "knowledge:write": "kb:write"}

// own is our name of a scope, "" where there is nothing that it opens.
func own(scope string) string {
	if of, ok := aliases[scope]; ok {
		return of
	}
	return scope
}
