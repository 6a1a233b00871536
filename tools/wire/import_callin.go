package wire

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/patchcord/patchcord/tools"
)

// callinKeys are the labels of Callin's form, English and French, and what each
// is.
var callinKeys = map[string]string{
	"name": "name", "nom": "name", "description": "description", "method": "method", "méthode": "method",
	"methode": "method", "url": "url", "headers": "headers", "header": "headers", "en-têtes": "headers",
	"en têtes": "headers", "entêtes": "headers", "body parameters": "body", "body params": "body",
	"body_parameters": "body", "bodyparameters": "body", "paramètres du corps": "body", "paramètres body": "body",
	"paramètres": "body", "properties": "body",
}

// … and those of a body parameter and of a header.
var (
	callinParameterKeys = map[string]string{
		"type": "type", "identifier": "identifier", "identifiant": "identifier", "required": "required",
		"obligatoire": "required", "requis": "required", "description": "description",
	}
	callinHeaderKeys = map[string]string{
		"key": "key", "name": "key", "nom": "key", "clé": "key", "header": "key", "en-tête": "key",
		"value": "value", "valeur": "value",
	}
)

// isCallin tells a tool by its labels.
func isCallin(keys map[string]json.RawMessage) bool {
	var url, more bool
	for k := range keys {
		switch callinKeys[fold(k)] {
		case "url":
			url = true
		case "method", "body":
			more = true
		}
	}
	return url && more
}

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// callin reads the fields of Callin's form (C-03, C-08, C-11).
func (in *importer) callin(item json.RawMessage) (d tools.Definition, err error) {
	fields := in.labels(item, "", callinKeys)
	in.tool = text(fields["name"])
	cfg := callinConfig{Method: strings.ToUpper(text(fields["method"])), URL: text(fields["url"])}
	if cfg.Headers, err = in.callinHeaders(fields["headers"]); err != nil {
		return d, err
	}
	body := fields["body"]
	var inner map[string]json.RawMessage
	if json.Unmarshal(body, &inner) == nil && inner["properties"] != nil {
		body = inner["properties"]
	}
	var list []json.RawMessage
	if len(body) > 0 && json.Unmarshal(body, &list) != nil {
		return d, fmt.Errorf("the body parameters are no list of {type, identifier, required, description}")
	}
	for i, p := range list {
		at := fmt.Sprintf("body_parameters[%d]", i)
		one := in.labels(p, at, callinParameterKeys)
		required, ok := truth(one["required"])
		if !ok {
			return d, fmt.Errorf("%s.required: %s is neither yes nor no", at, one["required"])
		}
		cfg.Body = append(cfg.Body, callinParameter{
			Type: text(one["type"]), Identifier: text(one["identifier"]), Required: required,
			Description: text(one["description"]),
		})
	}
	d = tools.Definition{
		Name: text(fields["name"]), Description: text(fields["description"]), Type: tools.Webhook, Dialect: "callin",
	}
	d.Config, err = tools.NewConfig(cfg)
	return d, err
}

// callinHeaders reads a list of names and values, or an object of them.
func (in *importer) callinHeaders(raw json.RawMessage) (out []tools.KV, err error) {
	var object map[string]string
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if json.Unmarshal(raw, &object) == nil {
		for _, k := range sortedKeys(object) {
			out = append(out, tools.KV{Key: k, Value: object[k]})
		}
		return out, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("the headers are no list of {name, value}")
	}
	for i, h := range list {
		one := in.labels(h, fmt.Sprintf("headers[%d]", i), callinHeaderKeys)
		out = append(out, tools.KV{Key: text(one["key"]), Value: text(one["value"])})
	}
	return out, nil
}

// labels are the fields of an object by what they are; others are noted.
func (in *importer) labels(item json.RawMessage, at string, known map[string]string) map[string]json.RawMessage {
	var keys map[string]json.RawMessage
	if json.Unmarshal(item, &keys) != nil {
		in.note(at, "no object of labels and values", "")
		return nil
	}
	out := map[string]json.RawMessage{}
	for _, k := range sortedKeys(keys) {
		what, ok := known[fold(k)]
		if !ok {
			in.note(strings.TrimPrefix(at+"."+k, "."), "this field is not known and is left out", "")
			continue
		}
		out[what] = keys[k]
	}
	return out
}

// truth reads what people write for yes and no; nothing is no.
func truth(raw json.RawMessage) (is, ok bool) {
	switch fold(strings.Trim(string(raw), `"`)) {
	case "true", "yes", "oui", "on", "vrai", "1", "required", "obligatoire":
		return true, true
	case "", "null", "false", "no", "non", "off", "faux", "0":
		return false, true
	}
	return false, false
}
