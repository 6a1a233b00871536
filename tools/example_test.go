package tools_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// An engine builds the set once per agent, offers it to the model, checks the
// arguments that the model wrote, and runs the call.
func Example() {
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"status":"shipped","asked":%q}`, r.URL.RawQuery)
	}))
	defer crm.Close()

	var defs []tools.Definition
	err := yaml.UnmarshalWithOptions([]byte(`
- name: check_order_status
  description: Looks up an order. Call this when the caller asks where an order is.
  tool_type: webhook
  dialect: dariet
  parameters: {properties: {order_id: {type: string}}, required: [order_id]}
  config: {webhook_url: "`+crm.URL+`", webhook_method: GET}
- {tool_type: end_call, config: {goodbye_message: "Goodbye, {{name}}."}}
`), &defs, yaml.Strict())
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	set, faults := tools.Build(defs, tools.Deps{Client: client, Dialects: wire.Dialects()})
	if faults.Err() != nil {
		fmt.Println(faults.Err())
		return
	}
	for _, o := range set.Offered() {
		fmt.Println(o.Name, string(o.Parameters))
	}
	t, _ := set.Get("check_order_status")
	_, refused, ok := tools.Arguments(t, []byte(`{"order_id":4711}`))
	fmt.Println(ok, string(refused.JSON))

	args, _, _ := tools.Arguments(t, []byte(`{"order_id":"4711"}`))
	r := t.Run(context.Background(), tools.Call{ID: "1", Name: "check_order_status", Args: args, Env: tools.Env{CallID: "c1"}})
	fmt.Println(r.Status, string(r.JSON))

	// A tool that runs by itself at the start of a call.
	r = t.Run(context.Background(), tools.Call{Name: "check_order_status", Env: tools.Env{
		CallID: "c1", Phone: "+4930123456", Direction: "inbound", PreCall: true,
	}})
	fmt.Println(tools.Contexts{{Tool: "check_order_status", Result: r.JSON}}.Text())

	// Output:
	// check_order_status {"type":"object","properties":{"order_id":{"type":"string"}},"required":["order_id"]}
	// end_call {"type":"object","properties":{}}
	// false {"error":"invalid_arguments","details":["order_id: got number, want string"]}
	// ok {"status":"shipped","asked":"order_id=4711&call_id=c1"}
	// Caller context: {"check_order_status":{"status":"shipped","asked":"phone_number=%2B4930123456&direction=inbound&call_id=c1"}}
}
