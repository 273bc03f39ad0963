//! What the machine is made of: processors, DMI, memory slots, TPM, network cards.
