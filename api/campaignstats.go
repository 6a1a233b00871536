package api

import (
	"context"
	"time"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// CampaignStats is where a campaign is now.
type CampaignStats struct {
	Contacts    map[dialer.State]int   `json:"contacts" doc:"By their states, which add up to total"`
	Total       int                    `json:"total" doc:"Contacts"`
	Attempts    int                    `json:"attempts" doc:"Calls that were placed and are over"`
	Outcomes    map[dialer.Outcome]int `json:"outcomes" doc:"Attempts by what became of them"`
	CallsUp     int                    `json:"calls_up" doc:"Calls that are dialled or up, on all nodes"`
	LastMinute  int                    `json:"last_minute" doc:"Calls that were begun in the last minute"`
	AnswerRate  float64                `json:"answer_rate" doc:"Share of attempts that somebody or something answered, 0 to 1"`
	AbandonRate float64                `json:"abandon_rate" doc:"Share of the calls that people answered in which no word of ours came in time, 0 to 1"`
	NextDue     *time.Time             `json:"next_due,omitempty" doc:"When the first contact that waits is due; absent: none waits"`
}

// states are those of a contact, in the order of its way.
var states = []dialer.State{
	dialer.Pending, dialer.Claimed, dialer.Dialing, dialer.Reached, dialer.Failed, dialer.Blocked, dialer.Expired,
	dialer.Review,
}

func (s *Server) campaignStats(ctx context.Context, id string) (CampaignStats, error) {
	kept, err := s.cfg.Campaigns.CampaignStats(ctx, id)
	if err != nil {
		return CampaignStats{}, campaignKept(err)
	}
	return statsView(kept), nil
}

func statsView(k store.CampaignStats) CampaignStats {
	v := CampaignStats{
		Contacts: map[dialer.State]int{}, Outcomes: k.Outcomes, CallsUp: k.Dialing, LastMinute: k.LastMinute,
	}
	if k.Waits {
		due := k.Due
		if due.IsZero() {
			due = time.Now().UTC().Truncate(time.Millisecond)
		}
		v.NextDue = &due
	}
	for _, st := range states {
		v.Contacts[st] = k.Contacts[st]
		v.Total += k.Contacts[st]
	}
	if v.Outcomes == nil {
		v.Outcomes = map[dialer.Outcome]int{}
	}
	for _, n := range k.Outcomes {
		v.Attempts += n
	}
	people := k.Outcomes[dialer.OutcomePerson] + k.Outcomes[dialer.OutcomeAbandoned]
	answered := people + k.Outcomes[dialer.OutcomeVoicemail] + k.Outcomes[dialer.OutcomeScreening]
	v.AnswerRate = share(answered, v.Attempts)
	v.AbandonRate = share(k.Outcomes[dialer.OutcomeAbandoned], people)
	return v
}

// share is a part of a whole, 0 of nothing.
func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// CampaignCount is a campaign that runs or is paused, in the statistics.
type CampaignCount struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Status dialer.Status `json:"status"`
	CampaignStats
}

// campaignCounts are the campaigns that run or are paused, of agents that the
// caller sees.
func (s *Server) campaignCounts(ctx context.Context) ([]CampaignCount, error) {
	out := []CampaignCount{}
	if s.cfg.Campaigns == nil {
		return out, nil
	}
	all, _, err := s.cfg.Campaigns.Campaigns(ctx, store.CampaignFilter{
		Statuses: []dialer.Status{dialer.Running, dialer.Paused}, Agents: caller(ctx).Agents, Page: everything,
	})
	if err != nil {
		return nil, campaignKept(err)
	}
	for _, c := range all {
		stats, err := s.campaignStats(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, CampaignCount{ID: c.ID, Name: c.Name, Status: c.Status, CampaignStats: stats})
	}
	return out, nil
}
