//! Temperatures, fans and voltages from `/sys/class/hwmon`.
