package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/server"
)

// newSupervisor is the process that owns the containers; the engine starts it.
func newSupervisor(s *Streams, runF func(context.Context, server.SupervisorConfig) error) *cobra.Command {
	if runF == nil {
		runF = server.RunSupervisor
	}
	var c server.SupervisorConfig
	cmd := &cobra.Command{
		Use:    "supervisor",
		Short:  "Own the containers of a data directory (started by the engine)",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.DataDir == "" {
				return usagef("--data-dir is missing")
			}
			c.Logger = slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
			return runF(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&c.DataDir, "data-dir", "", "`directory` of the engine")
	cmd.Flags().StringVar(&c.Runtime, "runtime", "auto", "`name` of the runtime that starts containers")
	cmd.Flags().BoolVar(&c.NoCPUQuota, "no-cpu-quota", false, "do not limit processor time")
	cmd.Flags().BoolVar(&c.Ephemeral, "ephemeral", false, "write output without making it durable")
	cmd.Flags().Int64Var(&c.ImageBytes, "image-bytes", 0, "how much images may come to that were loaded into a daemon; 0 is the runtime's default, below 0 no bound")
	return cmd
}
