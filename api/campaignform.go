package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// CampaignInput is a campaign as it is sent, and as its file is written.
type CampaignInput struct {
	Name        string             `json:"name" maxLength:"200"`
	AgentID     string             `json:"agent_id" maxLength:"255" doc:"Who talks, by id or name; answers have the id"`
	Trunk       string             `json:"trunk,omitempty" maxLength:"255"`
	CallerIDs   []CampaignCallerID `json:"caller_ids,omitempty" doc:"Numbers that callees see; none: the trunk's own"`
	Concurrency int                `json:"concurrency" doc:"Calls at once, across all nodes" example:"20"`
	CPS         float64            `json:"cps" doc:"Calls begun a second, across all nodes" example:"2"`
	Priority    int                `json:"priority,omitempty" doc:"Of those with room the higher goes first"`
	StartsAt    *time.Time         `json:"starts_at,omitempty" doc:"Absent: as soon as it is started"`
	EndsAt      *time.Time         `json:"ends_at,omitempty" doc:"Absent: when every contact is in a final state"`
	Hours       *CampaignHours     `json:"hours,omitempty" doc:"When people may be called, in their own time; absent: at any time that the profile allows"`
	Zone        string             `json:"zone,omitempty" maxLength:"64" example:"Europe/Berlin" doc:"Of contacts whose own time zone is not known, IANA name"`
	Country     string             `json:"country,omitempty" maxLength:"2" example:"DE" doc:"Of numbers without a country code, ISO 3166"`
	Profile     string             `json:"profile,omitempty" maxLength:"64" example:"eu" doc:"Rules that hold beside its own: us, eu, or one of dialer.profiles"`
	Retries     *CampaignRetries   `json:"retries,omitempty" doc:"When a contact is called again, by outcome; absent: the defaults of docs/campaigns.md"`
	RingTimeout Seconds            `json:"ring_timeout,omitempty" doc:"How long it rings; absent: 60s"`
	AMD         *bool              `json:"amd,omitempty" doc:"Whether the agent is told who answers; absent: as the agent has it"`
	Voicemail   *string            `json:"voicemail_message,omitempty" maxLength:"4000" doc:"Said to a machine, \"\" hangs up silently; absent: as the agent has it"`
	Variables   []CampaignVariable `json:"variables,omitempty" doc:"What each contact brings for prompt and tools"`
	Breakers    *CampaignBreakers  `json:"breakers,omitempty" doc:"When it is paused by itself"`
}

// CampaignCallerID is a number of ours that callees see.
type CampaignCallerID struct {
	Number string   `json:"number" maxLength:"32" example:"+4930123456"`
	Areas  []string `json:"areas,omitempty" maxItems:"100" doc:"Beginnings of the numbers that it is shown to first: +4930"`
	PerDay int      `json:"per_day,omitempty" doc:"Calls a day that it is shown in; 0: no limit"`
}

// CampaignHours are when people may be called.
type CampaignHours struct {
	Windows  []CampaignWindow `json:"windows,omitempty" maxItems:"100"`
	Holidays []string         `json:"holidays,omitempty" maxItems:"1000" doc:"Dates without calls" example:"[\"2026-12-25\"]"`
}

// CampaignWindow is a time of day on some days of the week.
type CampaignWindow struct {
	Days []string `json:"days,omitempty" enum:"mon,tue,wed,thu,fri,sat,sun" doc:"Absent: every day"`
	From string   `json:"from" maxLength:"5" example:"08:00"`
	To   string   `json:"to" maxLength:"5" example:"21:00" doc:"Not in it any more; before from: on the next day"`
}

// CampaignRetries say when a contact is called again. An outcome that is not
// named is final.
type CampaignRetries struct {
	Person     *CampaignRetry `json:"person,omitempty"`
	Voicemail  *CampaignRetry `json:"voicemail,omitempty"`
	Screening  *CampaignRetry `json:"screening,omitempty"`
	Abandoned  *CampaignRetry `json:"abandoned,omitempty"`
	Busy       *CampaignRetry `json:"busy,omitempty"`
	NoAnswer   *CampaignRetry `json:"no_answer,omitempty"`
	Rejected   *CampaignRetry `json:"rejected,omitempty"`
	Invalid    *CampaignRetry `json:"invalid,omitempty"`
	Congestion *CampaignRetry `json:"congestion,omitempty"`
	Failed     *CampaignRetry `json:"failed,omitempty"`
	PerDay     int            `json:"per_day,omitempty" doc:"Attempts at a contact in 24 h that may have rung; 0: 2"`
	Total      int            `json:"total,omitempty" doc:"Attempts at a contact in all; 0: 6"`
}

// CampaignRetry is the rule of one outcome.
type CampaignRetry struct {
	After        Seconds `json:"after,omitempty" doc:"At the earliest"`
	OtherDaypart bool    `json:"other_daypart,omitempty" doc:"Not in the part of the day that it was: morning, afternoon, evening"`
	Most         int     `json:"most,omitempty" doc:"Retries in a row after this outcome"`
}

// CampaignVariable is a value that each contact brings.
type CampaignVariable struct {
	Name     string `json:"name" maxLength:"64"`
	Type     string `json:"type,omitempty" enum:"string,number,integer,boolean,date" doc:"Absent: string"`
	Required bool   `json:"required,omitempty"`
}

// CampaignBreakers pause a campaign that goes wrong.
type CampaignBreakers struct {
	Abandoned float64 `json:"abandoned,omitempty" doc:"Share of the calls that people answered; 0: 0.03"`
	Failed    float64 `json:"failed,omitempty" doc:"Share of attempts; 0: 0.5"`
	Least     int     `json:"least,omitempty" doc:"Attempts before they judge; 0: 20"`
	Window    Seconds `json:"window,omitempty" doc:"Of the attempts whose failures count; 0: 1h"`
}

// byOutcome are the rules by the outcomes that they are for.
func (r *CampaignRetries) byOutcome() map[dialer.Outcome]**CampaignRetry {
	return map[dialer.Outcome]**CampaignRetry{
		dialer.OutcomePerson: &r.Person, dialer.OutcomeVoicemail: &r.Voicemail, dialer.OutcomeScreening: &r.Screening,
		dialer.OutcomeAbandoned: &r.Abandoned, dialer.OutcomeBusy: &r.Busy, dialer.OutcomeNoAnswer: &r.NoAnswer,
		dialer.OutcomeRejected: &r.Rejected, dialer.OutcomeInvalid: &r.Invalid, dialer.OutcomeCongestion: &r.Congestion,
		dialer.OutcomeFailed: &r.Failed,
	}
}

// campaign is what was sent as the dialer has it.
func (in *CampaignInput) campaign() (c dialer.Campaign, faults []Fault) {
	c = dialer.Campaign{
		Name: in.Name, Agent: in.AgentID, Trunk: telephony.TrunkID(in.Trunk), Concurrency: in.Concurrency, CPS: in.CPS,
		Priority: in.Priority, Zone: in.Zone, Country: in.Country, Profile: in.Profile,
		RingTimeout: time.Duration(in.RingTimeout), AMD: in.AMD, Voicemail: in.Voicemail,
	}
	if in.StartsAt != nil {
		c.Starts = in.StartsAt.UTC().Truncate(time.Millisecond)
	}
	if in.EndsAt != nil {
		c.Ends = in.EndsAt.UTC().Truncate(time.Millisecond)
	}
	for _, id := range in.CallerIDs {
		c.CallerIDs = append(c.CallerIDs, dialer.CallerID(id))
	}
	if h := in.Hours; h != nil {
		c.Hours.Holidays = h.Holidays
		for i, w := range h.Windows {
			win := dialer.Window{From: w.From, To: w.To}
			for j, d := range w.Days {
				day, err := dialer.Weekday(d)
				if err != nil {
					faults = append(faults, Fault{Param: at(at("body.hours.windows", i)+".days", j), Message: err.Error()})
				}
				win.Days = append(win.Days, day)
			}
			c.Hours.Windows = append(c.Hours.Windows, win)
		}
	}
	if r := in.Retries; r != nil {
		c.Retries = dialer.Retries{PerDay: r.PerDay, Total: r.Total}
		for outcome, rule := range r.byOutcome() {
			if *rule == nil {
				continue
			}
			if c.Retries.By == nil {
				c.Retries.By = map[dialer.Outcome]dialer.Retry{}
			}
			c.Retries.By[outcome] = dialer.Retry{
				After: time.Duration((*rule).After), OtherDaypart: (*rule).OtherDaypart, Most: (*rule).Most,
			}
		}
	}
	for _, v := range in.Variables {
		if v.Type == "" {
			v.Type = "string"
		}
		c.Variables = append(c.Variables, dialer.Variable(v))
	}
	if b := in.Breakers; b != nil {
		c.Breakers = dialer.Breakers{
			Abandoned: b.Abandoned, Failed: b.Failed, Least: b.Least, Window: time.Duration(b.Window),
		}
	}
	return c, faults
}

// inputOf is a campaign as it would be sent.
func inputOf(c *dialer.Campaign) CampaignInput {
	in := CampaignInput{
		Name: c.Name, AgentID: c.Agent, Trunk: string(c.Trunk), Concurrency: c.Concurrency, CPS: c.CPS, Priority: c.Priority,
		StartsAt: someTime(c.Starts), EndsAt: someTime(c.Ends), Zone: c.Zone, Country: c.Country, Profile: c.Profile,
		RingTimeout: Seconds(c.RingTimeout), AMD: c.AMD, Voicemail: c.Voicemail,
	}
	for _, id := range c.CallerIDs {
		in.CallerIDs = append(in.CallerIDs, CampaignCallerID(id))
	}
	if h := c.Hours; len(h.Windows)+len(h.Holidays) > 0 {
		in.Hours = &CampaignHours{Holidays: h.Holidays}
		for _, w := range h.Windows {
			win := CampaignWindow{From: w.From, To: w.To}
			for _, d := range w.Days {
				win.Days = append(win.Days, strings.ToLower(d.String()[:3]))
			}
			in.Hours.Windows = append(in.Hours.Windows, win)
		}
	}
	if r := c.Retries; len(r.By) > 0 || r.PerDay != 0 || r.Total != 0 {
		in.Retries = &CampaignRetries{PerDay: r.PerDay, Total: r.Total}
		for outcome, rule := range in.Retries.byOutcome() {
			if of, ok := r.By[outcome]; ok {
				*rule = &CampaignRetry{After: Seconds(of.After), OtherDaypart: of.OtherDaypart, Most: of.Most}
			}
		}
	}
	for _, v := range c.Variables {
		in.Variables = append(in.Variables, CampaignVariable(v))
	}
	if b := c.Breakers; b != (dialer.Breakers{}) {
		in.Breakers = &CampaignBreakers{
			Abandoned: b.Abandoned, Failed: b.Failed, Least: b.Least, Window: Seconds(b.Window),
		}
	}
	return in
}

// someTime is nil for the zero time.
func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// readCampaign checks a campaign that was sent and tells every fault at once.
func (s *Server) readCampaign(sent []byte) (dialer.Campaign, error) {
	p := &Problem{Status: http.StatusUnprocessableEntity}
	if p.Faults = s.shaped(sent, CampaignInput{}); p.Faults != nil {
		return dialer.Campaign{}, p
	}
	var in CampaignInput
	if err := json.Unmarshal(sent, &in); err != nil {
		return dialer.Campaign{}, fail(http.StatusUnprocessableEntity, "", "body", "The body is no campaign.").because(err)
	}
	c, faults := in.campaign()
	p.Faults = faults
	quiet := values(sent)
	for _, f := range c.Check(s.cfg.Profiles) {
		p.Faults = append(p.Faults, Fault{Param: "body." + f.Field, Message: say(quiet.Replace(f.What), f.Do)})
	}
	if p.Faults != nil {
		return c, p
	}
	return c, nil
}

// shaped tells what of a JSON object is not as the schema of v has it.
func (s *Server) shaped(sent []byte, v any) []Fault {
	var doc any
	if err := json.Unmarshal(sent, &doc); err != nil {
		return []Fault{{Param: "body", Message: "it is no JSON"}}
	}
	var res huma.ValidateResult
	at := huma.NewPathBuffer([]byte{}, 0)
	at.Push("body")
	huma.Validate(s.api.OpenAPI().Components.Schemas, s.schema(v), at, huma.ModeWriteToServer, doc, &res)
	var out []Fault
	for _, err := range res.Errors {
		f := Fault{Param: "body", Message: err.Error()}
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			f = Fault{Param: d.Location, Message: d.Message}
		}
		out = append(out, f)
	}
	return out
}

// campaignOf says what is known of a campaign that was kept.
func campaignOf(c store.Campaign) Campaign {
	return Campaign{
		ID: c.ID, CampaignInput: inputOf(&c.Campaign), Status: c.Status, Reason: c.Reason, CreatedAt: c.Created,
		UpdatedAt: c.Updated, UpdatedBy: c.By, Revision: c.Revision,
	}
}

// ofCampaign are what answers have besides the campaign; bodies may repeat it.
var ofCampaign = []string{"id", "status", "reason", "created_at", "updated_at", "updated_by", "revision", "stats"}
