// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration spaces of a card's functions, PFs and VFs, and the accesses to them.
 *
 * The rest is the kernel's own code: enumeration, sysfs, SR-IOV, IOMMU groups, BARs, drivers. A VF exists while VF
 * Enable is set in its PF's SR-IOV capability and NumVFs includes it, as the PCI Express specification defines.
 */
#include <linux/pci.h>
#include "card.h"

#define VENDOR PCI_VENDOR_ID_MELLANOX
#define BOARD 0x0080
#define BAR_SIZE 0x100000u
/* Link speed 8 GT/s, width 8. */
#define LINK (3 | 8 << 4)
#define LINK_SPEEDS (PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB | PCI_EXP_LNKCAP2_SLS_8_0GB)
#define COMMAND_BITS (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
		      PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

enum { CAP_PM = 0x40, CAP_EXPRESS = 0x60, CAP_VSC = 0xc0 };
enum { EXT_AER = 0x100, EXT_ARI = 0x150, EXT_SRIOV = 0x180, EXT_ACS = 0x230 };

static void put16(u8 *at, u16 value)
{
	at[0] = value;
	at[1] = value >> 8;
}

static void put32(u8 *at, u32 value)
{
	put16(at, value);
	put16(at + 2, value >> 16);
}

static u16 get16(const u8 *at)
{
	return at[0] | at[1] << 8;
}

static void put_identity(u8 *config, u16 vendor, u16 device)
{
	put16(config + PCI_VENDOR_ID, vendor);
	put16(config + PCI_DEVICE_ID, device);
	put16(config + PCI_STATUS, PCI_STATUS_CAP_LIST);
	put16(config + PCI_CLASS_DEVICE, PCI_CLASS_NETWORK_ETHERNET);
	put16(config + PCI_SUBSYSTEM_VENDOR_ID, VENDOR);
	put16(config + PCI_SUBSYSTEM_ID, BOARD);
	config[PCI_CAPABILITY_LIST] = CAP_EXPRESS;
}

static void put_express(u8 *config, u8 next)
{
	u8 *cap = config + CAP_EXPRESS;

	cap[0] = PCI_CAP_ID_EXP;
	cap[1] = next;
	put16(cap + PCI_EXP_FLAGS, 2);
	put32(cap + PCI_EXP_DEVCAP, 2 | PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR);
	put32(cap + PCI_EXP_LNKCAP, LINK);
	put16(cap + PCI_EXP_LNKSTA, LINK);
	put32(cap + PCI_EXP_LNKCAP2, LINK_SPEEDS);
	put16(cap + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_8_0GT);
}

static void put_extended(u8 *config, u16 at, u16 id, u8 version, u16 next)
{
	put32(config + at, id | version << 16 | next << 20);
}

/* Sets how many VFs the kernel can make of a PF. The kernel reads it when it finds the PF. */
void rig_put_vfs(struct function *pf, u16 total)
{
	put16(pf->config + EXT_SRIOV + PCI_SRIOV_INITIAL_VF, total);
	put16(pf->config + EXT_SRIOV + PCI_SRIOV_TOTAL_VF, total);
}

static void put_header(const struct card *card, unsigned int number, u8 *config, u8 *writable)
{
	put_identity(config, VENDOR, card->device);
	config[PCI_HEADER_TYPE] = card->ports > 1 ? 0x80 : 0;
	config[PCI_INTERRUPT_PIN] = number + 1;
	put32(config + PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	put16(writable + PCI_COMMAND, COMMAND_BITS);
	writable[PCI_CACHE_LINE_SIZE] = 0xff;
	writable[PCI_INTERRUPT_LINE] = 0xff;
	put32(writable + PCI_BASE_ADDRESS_0, ~(BAR_SIZE - 1));
	put32(writable + PCI_BASE_ADDRESS_1, ~0u);

	put_express(config, CAP_VSC);
	put16(writable + CAP_EXPRESS + PCI_EXP_DEVCTL, 0x7fff);
	put16(writable + CAP_EXPRESS + PCI_EXP_LNKCTL, 0x0fff);
	put16(writable + CAP_EXPRESS + PCI_EXP_DEVCTL2, 0xffff);
	put32(config + CAP_VSC, PCI_CAP_ID_VNDR | CAP_PM << 8 | VSC_LENGTH << 16);
	put32(config + CAP_PM, PCI_CAP_ID_PM | 3 << 16);
	config[CAP_PM + PCI_PM_CTRL] = PCI_PM_CTRL_NO_SOFT_RESET;
	writable[CAP_PM + PCI_PM_CTRL] = PCI_PM_CTRL_STATE_MASK;
}

static void put_sriov(const struct card *card, unsigned int number, u8 *config, u8 *writable)
{
	u8 *cap = config + EXT_SRIOV, *mask = writable + EXT_SRIOV;

	put_extended(config, EXT_SRIOV, PCI_EXT_CAP_ID_SRIOV, 1, EXT_ACS);
	/* ARI Capable Hierarchy Preserved: offset and stride of the VFs do not depend on ARI. */
	put16(cap + PCI_SRIOV_CAP, 2);
	cap[PCI_SRIOV_FUNC_LINK] = number;
	/* The VFs of port 0 follow the PFs, then those of port 1: all functions of a card are on one bus. */
	put16(cap + PCI_SRIOV_VF_OFFSET, card->ports - number + number * MAX_VFS);
	put16(cap + PCI_SRIOV_VF_STRIDE, 1);
	put16(cap + PCI_SRIOV_VF_DID, card->vf_device);
	put32(cap + PCI_SRIOV_SUP_PGSIZE, 0x553);
	put32(cap + PCI_SRIOV_SYS_PGSIZE, 1);
	put16(mask + PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI);
	put16(mask + PCI_SRIOV_NUM_VF, 0xffff);
	put32(mask + PCI_SRIOV_SYS_PGSIZE, 0x553);
}

/* Sets everything as after a reset, except the number of VFs, which the firmware sets. */
static void power_on(struct card *card, unsigned int number)
{
	struct function *pf = &card->pf[number];
	u8 *config = pf->config, *writable = pf->writable;
	u16 total = get16(config + EXT_SRIOV + PCI_SRIOV_TOTAL_VF);
	unsigned int vf;

	memset(config, 0, CONFIG_SIZE);
	memset(writable, 0, CONFIG_SIZE);
	put_header(card, number, config, writable);
	put_extended(config, EXT_AER, PCI_EXT_CAP_ID_ERR, 2, EXT_ARI);
	put_extended(config, EXT_ARI, PCI_EXT_CAP_ID_ARI, 1, EXT_SRIOV);
	config[EXT_ARI + PCI_ARI_CAP + 1] = number + 1 < card->ports ? number + 1 : 0;
	put_sriov(card, number, config, writable);
	rig_put_vfs(pf, total);
	put_extended(config, EXT_ACS, PCI_EXT_CAP_ID_ACS, 1, 0);

	memset(&pf->vsc, 0, sizeof(pf->vsc));
	pf->vsc.hardware_id = card->hardware_id;
	pf->waiting = false;

	for (vf = 0; vf < MAX_VFS; vf++) {
		memset(pf->vf[vf], 0, VF_CONFIG_SIZE);
		/* A VF's vendor and device ids read as all ones; the kernel takes them from the PF. */
		put_identity(pf->vf[vf], 0xffff, 0xffff);
		put_express(pf->vf[vf], 0);
	}
}

void rig_power_on(struct card *card)
{
	unsigned int i;

	for (i = 0; i < card->ports; i++)
		power_on(card, i);
}

struct card *rig_card_of_bus(struct pci_bus *bus)
{
	unsigned int i;

	for (i = 0; i < MAX_CARDS; i++)
		if (rig_cards[i] && rig_cards[i]->bus == bus)
			return rig_cards[i];
	return NULL;
}

/* Returns the configuration space of an enabled VF, NULL for any other device number. */
static u8 *vf_config(struct card *card, unsigned int devfn)
{
	unsigned int i, vf;

	for (i = 0; i < card->ports; i++) {
		const u8 *cap = card->pf[i].config + EXT_SRIOV;

		if (!(get16(cap + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE))
			continue;
		vf = devfn - i - get16(cap + PCI_SRIOV_VF_OFFSET);
		if (vf < get16(cap + PCI_SRIOV_NUM_VF) && vf < MAX_VFS)
			return card->pf[i].vf[vf];
	}
	return NULL;
}

/* The tools access the window in whole words: other accesses read as 0 and change nothing. */
static bool in_window(int where)
{
	return where >= CAP_VSC + VSC_SPACE && where < CAP_VSC + VSC_LENGTH;
}

static u32 read_bytes(const u8 *config, int length, int where, int size)
{
	u32 data = 0;
	int i;

	for (i = 0; i < size && where + i < length; i++)
		data |= (u32)config[where + i] << i * 8;
	return data;
}

static int card_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	int result = PCIBIOS_DEVICE_NOT_FOUND;
	unsigned long flags;
	struct card *card;
	u8 *config;

	*value = ~0u;
	raw_spin_lock_irqsave(&rig_lock, flags);
	card = rig_card_of_bus(bus);
	if (card && card->present && devfn < card->ports) {
		struct function *pf = &card->pf[devfn];

		result = PCIBIOS_SUCCESSFUL;
		if (!in_window(where))
			*value = read_bytes(pf->config, CONFIG_SIZE, where, size);
		else if (size == 4)
			*value = vsc_read(&pf->vsc, where - CAP_VSC);
		else
			*value = 0;
	} else if (card && card->present) {
		config = vf_config(card, devfn);
		if (config) {
			result = PCIBIOS_SUCCESSFUL;
			*value = read_bytes(config, VF_CONFIG_SIZE, where, size);
		}
	}
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	return result;
}

static int card_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	int result = PCIBIOS_DEVICE_NOT_FOUND, i;
	bool started = false;
	unsigned long flags;
	struct card *card;
	u8 *config;

	raw_spin_lock_irqsave(&rig_lock, flags);
	card = rig_card_of_bus(bus);
	if (card && card->present && devfn < card->ports) {
		struct function *pf = &card->pf[devfn];

		result = PCIBIOS_SUCCESSFUL;
		if (in_window(where)) {
			started = size == 4 && vsc_write(&pf->vsc, where - CAP_VSC, value);
			pf->waiting |= started;
		} else {
			for (i = 0; i < size && where + i < CONFIG_SIZE; i++) {
				u8 mask = pf->writable[where + i];

				pf->config[where + i] = (pf->config[where + i] & ~mask) | ((value >> i * 8) & mask);
			}
		}
	} else if (card && card->present) {
		config = vf_config(card, devfn);
		if (config) {
			result = PCIBIOS_SUCCESSFUL;
			if (where == PCI_COMMAND && size == 2)
				put16(config + PCI_COMMAND, value & COMMAND_BITS);
		}
	}
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	if (started)
		rig_wake_firmware();
	return result;
}

struct pci_ops rig_card_ops = { .read = card_read, .write = card_write };
