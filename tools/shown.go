package tools

import "encoding/json"

// Shown is the definition for who may read it and not change it: credentials
// that stand in its headers, query parameters and URLs as they are, and not as
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
	for _, key := range []string{"url", "webhook_url"} {
		if masked, ok := maskedURL(all[key]); ok {
			put(key, masked)
		}
	}
	if meta, ok := maskedAction(all["hsmeta"]); ok {
		put("hsmeta", meta)
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

// maskedURL is a URL that holds a credential, without it; not ok where it holds
// none.
func maskedURL(text json.RawMessage) (masked string, ok bool) {
	var raw string
	if json.Unmarshal(text, &raw) != nil {
		return "", false
	}
	masked = MaskURL(raw)
	return masked, masked != raw
}

// maskedAction is a HubSpot definition with its actionUrl masked; not ok where
// there is nothing to mask.
func maskedAction(text json.RawMessage) (meta map[string]json.RawMessage, ok bool) {
	var config map[string]json.RawMessage
	if json.Unmarshal(text, &meta) != nil || json.Unmarshal(meta["config"], &config) != nil {
		return nil, false
	}
	masked, ok := maskedURL(config["actionUrl"])
	if !ok {
		return nil, false
	}
	var err error
	if config["actionUrl"], err = json.Marshal(masked); err == nil {
		meta["config"], err = json.Marshal(config)
	}
	return meta, err == nil
}

// shownValue is a value without the credential that it is.
func shownValue(name string, value any) any {
	text, ok := value.(string)
	if !ok || !isCredential(name, text) {
		return value
	}
	return maskHeader(name, text)
}
