package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/server"
)

// newDoctor says what this machine can run containers with.
func newDoctor(s *Streams, try func(context.Context) ([]server.RuntimeStatus, error)) *cobra.Command {
	if try == nil {
		try = server.TryRuntimes
	}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say which container runtimes work on this machine, and why others do not",
		Long: `Try every container runtime and say which work here, what they can do, and why the others do not. The runtime that
"batchbox serve" takes by itself (--runtime auto) has a star. Exits 1 if none works.`,
		Example: `  batchbox doctor
  batchbox doctor --json`,
		GroupID: groupEngine,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := try(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = encodeRuntimes(s, all)
			} else {
				err = printRuntimes(s, all)
			}
			if err == nil && !slices.ContainsFunc(all, func(r server.RuntimeStatus) bool { return r.Chosen }) {
				return &exitError{code: ExitFailed}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array with an object for each runtime")
	return cmd
}

// encodeRuntimes prints a JSON array with an object for each runtime.
func encodeRuntimes(s *Streams, all []server.RuntimeStatus) error {
	type status struct {
		Name   string `json:"name"`
		Works  bool   `json:"works"`
		Chosen bool   `json:"chosen"`
		Reason string `json:"reason,omitempty"` // why it does not work
		*runtime.Capabilities
	}
	list := make([]status, len(all))
	for i := range all {
		r := &all[i]
		list[i] = status{Name: r.Name, Works: r.Err == nil, Chosen: r.Chosen}
		if r.Err != nil {
			list[i].Reason = r.Err.Error()
		} else {
			list[i].Capabilities = &r.Capabilities
		}
	}
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

func printRuntimes(s *Streams, all []server.RuntimeStatus) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  RUNTIME\tWORKS\tISOLATES\tENFORCES")
	for _, r := range all {
		star := " "
		if r.Chosen {
			star = "*"
		}
		if r.Err != nil {
			fmt.Fprintf(w, "%s %s\tno\t\t\n", star, r.Name)
			continue
		}
		c := r.Capabilities
		var enforces []string
		for _, e := range []struct {
			name string
			does bool
		}{
			{"memory", c.MemoryLimit}, {"vCPU", c.CPULimit}, {"storage", c.StorageLimit}, {"users", c.Users},
			{"volumes", c.Mounts}, {"read-only root", c.ReadonlyRootfs}, {"end of descendants", c.KillsDescendants},
		} {
			if e.does {
				enforces = append(enforces, e.name)
			}
		}
		isolates := "no"
		if c.Isolated {
			isolates = "yes"
		}
		fmt.Fprintf(w, "%s %s\tyes\t%s\t%s\n", star, r.Name, isolates, strings.Join(enforces, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range all {
		if r.Err == nil && len(r.Capabilities.Notes) == 0 {
			continue
		}
		fmt.Fprintf(s.Out, "\n%s:\n", r.Name)
		if r.Err != nil {
			fmt.Fprintf(s.Out, "  %v\n", r.Err)
		}
		for _, note := range r.Capabilities.Notes {
			fmt.Fprintf(s.Out, "  - %s\n", note)
		}
	}
	return nil
}
