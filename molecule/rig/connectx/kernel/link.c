// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The link of a card's root port.
 *
 * A tool that resets a card over PCIe disables the link of the port above it and enables it again (mlxfwreset: Link
 * Disable in the port's Link Control). QEMU's port accepts this, but to QEMU nothing is below it. So this part watches
 * the accesses to the root bus: Link Disable removes the card, and when it is cleared the card comes back. While the
 * card is there, it also adds what QEMU does not show: an active link and an occupied slot.
 */
#include "card.h"

static struct pci_bus *root;
static struct pci_ops *before;
static struct pci_ops watching;

static struct card *card_below(struct pci_bus *bus, unsigned int devfn)
{
	unsigned int i;

	for (i = 0; i < MAX_CARDS; i++)
		if (rig_cards[i] && rig_cards[i]->port->bus == bus && rig_cards[i]->port->devfn == devfn)
			return rig_cards[i];
	return NULL;
}

static int root_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	int result = before->read(bus, devfn, where, size, value);
	unsigned long flags;
	struct card *card;
	u32 extra = 0;
	int cap;

	if (result)
		return result;
	raw_spin_lock_irqsave(&rig_lock, flags);
	card = card_below(bus, devfn);
	if (card && card->present && !card->link_disabled) {
		cap = card->port->pcie_cap;
		if (where == cap + PCI_EXP_LNKCTL && size == 4)
			extra = PCI_EXP_LNKSTA_DLLLA << 16;
		else if (where == cap + PCI_EXP_LNKSTA && size == 2)
			extra = PCI_EXP_LNKSTA_DLLLA;
		else if (where == cap + PCI_EXP_SLTCTL && size == 4)
			extra = PCI_EXP_SLTSTA_PDS << 16;
		else if (where == cap + PCI_EXP_SLTSTA && size == 2)
			extra = PCI_EXP_SLTSTA_PDS;
	}
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	*value |= extra;
	return result;
}

static int root_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	unsigned long flags;
	struct card *card;

	raw_spin_lock_irqsave(&rig_lock, flags);
	card = card_below(bus, devfn);
	if (card && where == card->port->pcie_cap + PCI_EXP_LNKCTL && size >= 2) {
		bool disabled = value & PCI_EXP_LNKCTL_LD;

		if (disabled != card->link_disabled) {
			card->link_disabled = disabled;
			card->link_lost |= disabled && card->present;
			card->link_events |= disabled ? LINK_WENT_DOWN : LINK_CAME_UP;
			rig_link_changed();
		}
	}
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	return before->write(bus, devfn, where, size, value);
}

/* All cards are below one root bus: the rig's machines have only one. */
void rig_watch_link(struct pci_bus *bus)
{
	if (root)
		return;
	root = bus;
	before = bus->ops;
	watching = *bus->ops;
	watching.read = root_read;
	watching.write = root_write;
	pci_bus_set_ops(bus, &watching);
}

void rig_stop_watching_link(void)
{
	if (root)
		pci_bus_set_ops(root, before);
	root = NULL;
}
