"""What `monitor-tui doctor` looks at; printing it is `headless.doctor_command`."""
