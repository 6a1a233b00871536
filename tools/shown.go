package tools

import "encoding/json"

// Shown is the definition for who may read it and not change it: credentials
// that stand in its headers and query parameters as they are, and not as
// {{secret.NAME}}, are left out.
func (d Definition) Shown() Definition {
	text, err := d.Config.MarshalJSON()
	if err != nil {
		return d
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return d
	}
	changed := false
	put := func(key string, v any) {
		if b, err := json.Marshal(v); err == nil {
			all[key], changed = b, true
		}
	}
	for _, key := range []string{"headers", "query_params"} {
		var list []map[string]any
		var object map[string]any
		switch {
		case json.Unmarshal(all[key], &list) == nil:
			for _, kv := range list {
				name, _ := kv["key"].(string)
				kv["value"] = shownValue(name, kv["value"])
			}
			put(key, list)
		case json.Unmarshal(all[key], &object) == nil:
			for name, v := range object {
				object[name] = shownValue(name, v)
			}
			put(key, object)
		}
	}
	var secret string
	if json.Unmarshal(all["client_secret"], &secret) == nil {
		put("client_secret", shownValue("client-secret", secret))
	}
	if !changed {
		return d
	}
	if c, err := NewConfig(all); err == nil {
		d.Config = c
	}
	return d
}

// shownValue is a value without the credential that it is.
func shownValue(name string, value any) any {
	text, ok := value.(string)
	if !ok || !isCredential(name, text) {
		return value
	}
	return maskHeader(name, text)
}
