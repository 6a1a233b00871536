package configs

import (
	"errors"

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
	if _, ok := yamlfault.Pairs(n); !ok {
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
	if s.Value == "" && s.Hosts == nil {
		return errors.New("a secret without a value: write {value: ..., hosts: [...]}")
	}
	return nil
}
