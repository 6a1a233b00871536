package configs

import (
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools"
)

// Secret is a value for {{secret.NAME}}: a text, or the text with the hosts that
// it may be sent to.
//
//	crm_key: "${CRM_KEY}"
//	crm_key: {value: "${CRM_KEY}", hosts: [crm.example.com]}
type Secret struct {
	Value secret.Text `yaml:"value"`
	Hosts []string    `yaml:"hosts"` // names, name:port or *.domain; none: any
}

var _ yaml.NodeUnmarshaler = (*Secret)(nil)

// UnmarshalYAML takes either form.
func (s *Secret) UnmarshalYAML(n ast.Node) error {
	pairs, ok := yamlfault.Pairs(n)
	if !ok {
		return yaml.NodeToValue(n, &s.Value)
	}
	type plain Secret // without this method
	if err := yaml.NodeToValue(n, (*plain)(s), yaml.Strict()); err != nil {
		return err
	}
	for _, h := range s.Hosts {
		if fault := tools.CheckSecretHost(h); fault != "" {
			return &yaml.SyntaxError{Message: "hosts: " + fault, Token: n.GetToken()}
		}
	}
	valued := func(p *ast.MappingValueNode) bool { return yamlfault.Key(p) == "value" }
	if s.Value == "" && !slices.ContainsFunc(pairs, valued) {
		return &yaml.SyntaxError{Message: "a secret without a value: write {value: ..., hosts: [...]}", Token: n.GetToken()}
	}
	return nil
}
