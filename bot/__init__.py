"""The core of Threadfly: what a message goes through, with no platform, store or model in sight."""

VERSION = "0.1.0"
