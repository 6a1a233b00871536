package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

type dncImportInput struct {
	DNCOf
	Country string `query:"country" maxLength:"2" example:"DE" doc:"Of numbers without a country code, ISO 3166; absent: the campaign's"`
	List
}

func (s *Server) dncImport(path string, tags []string) {
	huma.Register(s.api, huma.Operation{
		OperationID: "import-dnc", Method: http.MethodPost, Path: path + "/import", Summary: "Let a list be called no more",
		Description: "A CSV whose first line names the columns number and, where it has them, why; a JSON array, or a JSON " +
			"object a line. It is read while it arrives. A row that is refused does not keep the others back.",
		Tags: tags, Security: scope("campaigns:write"), MaxBodyBytes: maxImport, Metadata: once,
		Middlewares: huma.Middlewares{s.fewImports},
	}, func(ctx context.Context, in *dncImportInput) (*body[Imported], error) {
		id, country, err := s.dncCampaign(ctx, in.Campaign)
		if err != nil {
			return nil, err
		}
		if in.Country != "" {
			country = in.Country
		}
		// A list of contacts that bring a reason and nothing else.
		of := dialer.Campaign{Country: country, Variables: []dialer.Variable{{Name: "why", Type: "string"}}}
		return readList(&in.List, of, func(part []dialer.Contact) (duplicates int, err error) {
			list := make([]store.DNC, 0, len(part))
			for _, k := range part {
				why, _ := k.Variables["why"].(string) // "" where it is not said
				list = append(list, store.DNC{Number: k.Number, Why: why})
			}
			added, err := s.cfg.Campaigns.AddDNC(ctx, caller(ctx).Name, id, list)
			return len(list) - added, err
		}, nil)
	})
	s.takesList(path+"/import", "number")
}
