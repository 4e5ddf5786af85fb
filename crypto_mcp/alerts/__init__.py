"""What an alert means, and when it fires. Pure: definitions, prices and clocks in, decisions out."""
