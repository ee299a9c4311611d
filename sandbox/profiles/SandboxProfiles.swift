package enum SandboxProfiles {}
