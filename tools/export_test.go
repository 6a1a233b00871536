package tools

// MayCarry is mayCarry of a secret.
func MayCarry(d Deps, rawURL string) error { return d.mayCarry("tool", rawURL, []string{"key"}) }
